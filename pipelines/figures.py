"""Draw the pictures from manifests and logs, and write the tables that they show."""

from pathlib import Path

from pipelines.stage import Stage, run
from yulan.report.facts import KINDS
from yulan.report.figures import PICTURES, draw_figures
from yulan.report.gather import READ, gather


def work(stage: Stage) -> None:
    facts = gather(stage.book, opened(stage))
    draw_figures(facts, stage.recipe, stage.place.data)
    rows = {name: len(getattr(facts, name)) for name in KINDS}
    stage.seal(keys=("phases",), summary={"pictures": len(PICTURES), "rows": rows})


def opened(stage: Stage) -> dict[str, Path]:
    """Data folders of what is drawn; only the files that are read are verified."""
    found = {}
    for name, read in READ.items():
        for phase in stage.recipe.phases if read.phases else [None]:
            place, _ = stage.open(name, phase, only=read.files)
            found[f"{name}@{phase}" if phase else name] = place.data
    return found


if __name__ == "__main__":
    run("figures", work)
