"""What nano's classifiers say of text that nothing was fitted on, and how fast they judge: `python -m tests.bench.scores`.

On the de-duplicated text of a build (`make repro`); speeds are of one process in CPU seconds.
"""

import tempfile
import time
from pathlib import Path

from yulan.data import frames
from yulan.data.score.classifier import read_classifier
from yulan.data.score.judge import Judge
from yulan.data.score.result import Scores
from yulan.data.score.split import score
from yulan.layout import Layout, find_root
from yulan.recipe import load_recipe

RECIPE = "nano"
BATCH = 1024


def main() -> None:
    root = find_root()
    rules = load_recipe(root, RECIPE).recipe.data.score
    layout = Layout(root=root, recipe=RECIPE)
    folder = layout.stage("dedup").data
    with tempfile.TemporaryDirectory() as made:
        start = time.process_time()
        found = score(rules, layout.recipe_folder, folder, Path(made))
        print(f"the whole stage: {time.process_time() - start:.1f} CPU seconds")
        tell(found)
        names = [f"{kind}/{name}" for kind, of in (("topics", rules.topics), ("quality", rules.quality)) for name in of]
        classifiers = {name: read_classifier(Path(made) / "classifiers" / name) for name in names}
        for source in rules.split:
            judge = Judge(source, rules, classifiers)
            texts = frames.read(frames.parts(folder, source))["text"].to_pylist()
            start = time.process_time()
            for first in range(0, len(texts), BATCH):
                judge(texts[first : first + BATCH])
            spent = time.process_time() - start
            size = sum(len(text.encode()) for text in texts) / 1e6
            print(f"{source}: {size / spent:.1f} MB and {len(texts) / spent:,.0f} documents a CPU second")


def tell(found: Scores) -> None:
    for name, report in found.classifiers.items():
        measured = {key: getattr(report, key) for key in ("auc", "brier", "precision", "recall", "seen", "unseen")}
        print(name, ", ".join(f"{key} {value:.3f}" for key, value in measured.items() if value is not None))
        for source, drawn in report.drawn.items():
            about = f"{drawn.train} learned from, {drawn.calibrate} to calibrate, {drawn.test} to test"
            print(f"  {source} ({drawn.role}): {about}; outcomes {drawn.outcome}")
        for each in report.bins:
            print(f"  from {each.low}: {each.documents} documents, {each.predicted:.3f} promised, {each.observed:.3f} there")
    for source, paths in found.sources.items():
        print(source, {path: held.documents for path, held in paths.items()})


if __name__ == "__main__":
    main()
