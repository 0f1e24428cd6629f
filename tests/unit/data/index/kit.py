"""A clone in which every stage from `raw` to `index` has run on a little text, with one document for each fate."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipelines import clean, dedup, index, mix, shards, tokenizer
from pipelines.stage import Stage
from tests.unit.data.conftest import put, sentences
from yulan import digest, files, manifest
from yulan.data.benchmarks import Item
from yulan.data.decontaminate import decontaminate
from yulan.data.documents import is_held_out, read_documents
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.profile import load_profile
from yulan.recipe import Book, load_recipe

HERE = Path(__file__).resolve().parents[4]
TEXTS = {"en/wiki": 300, "code/networkx": 104}
"""How many made-up documents each source has."""


def early(text: str) -> str:
    """The text with a number that gives it an id which is trained on soon: the order of a stream is the one of ids."""
    made = (text.replace("#", str(n)) for n in range(10_000))
    return next(each for each in made if digest.of_text(each) < "0" + "8" * 63 and not is_held_out(digest.of_text(each), 50))


SPACED = early("Water # boils  at a hundred degrees,\u3000as the books say.  \nIt freezes at zero.\r\n")
PERSONAL = early("Whoever knows more of case # may write to jo.smith@uni.edu at once,\u3000please.")
COPIED = early("Tower # was built by masons of the northern town in four years and two months.")
COPY = f"\u3000{COPIED}  "
SHORT = "too short."
LEAKED = "So it is asked which planet of the sun is called the red one by all who look at it and why."
QUESTION = Item(
    id="q1", question="which planet of the sun is called the red one by all who look at it", choices=("Venus", "Mars"), answer=1
)
PHASES = {"phase-01": (16, 24), "phase-02": (16, 8), "phase-03": (64, 8), "phase-03-short": (16, 8)}
"""Context and steps."""
PACKING = {"phase-01": "best-fit", "phase-02": "stream", "phase-03": "whole", "phase-03-short": "best-fit"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Clone:
    root: Path
    layout: Layout
    book: Book

    def stage(self, name: str, phase: str | None = None) -> Stage:
        profile = load_profile("cpu-2")
        params = params_for(self.book.recipe, "cpu-2")
        return Stage(name=name, phase=phase, book=self.book, layout=self.layout, profile=profile, params=params, started=0.0)

    def raw(self) -> dict[str, tuple[str, str]]:
        """Source and raw text of every document, by id."""
        found = {}
        for source, texts in raw_texts().items():
            found |= {digest.of_text(text): (source, text) for text in texts}
        return found

    def tokenised(self, source: str, *, held: bool) -> list[str]:
        """Ids of a source's documents that went into shards, of one split."""
        per_mille = self.book.recipe.data.shards.held_out
        parts = read_documents(self.layout.stage("decontaminated").data, source)
        return [each for ids, _ in parts for each in ids if is_held_out(each, per_mille) == held]


def raw_texts() -> dict[str, list[str]]:
    texts = {name: sentences(seed, documents) for seed, (name, documents) in enumerate(TEXTS.items())}
    texts["en/wiki"] += [SPACED, PERSONAL, COPIED, COPY, SHORT, LEAKED]
    return texts


def write_recipe(root: Path) -> Book:
    """nano with short windows, few tokens and filters that let made-up text pass."""
    shutil.copytree(HERE / "recipes" / "nano", root / "recipes" / "nano")
    shutil.copy(HERE / "dvc.yaml", root)
    path = root / "recipes" / "nano" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, (context, steps) in PHASES.items():
        phase = recipe["phases"][name]
        phase["context"], phase["tokens"] = context, context * phase["batch"] * steps
        phase["packing"] = PACKING[name]
        if phase["anneal"]:
            phase["anneal"] = {"start": 32, "length": 8, "hold": None}
    cleaning = recipe["data"]["clean"]
    cleaning["families"] = {name: {"filters": ["length"], "mask": ["email"]} for name in cleaning["families"]}
    cleaning["length"]["min_chars"] = 12
    recipe["data"]["tokenizer"]["vocab_size"] = 300
    recipe["data"]["shards"] |= {"tokens": 1500, "held_out": 50}
    files.write_text(path, yaml.safe_dump(recipe, allow_unicode=True))
    for each in (root / "recipes" / "nano" / "mixes").iterdir():
        # The anneal may use its code again, so some of it is trained on twice.
        repeats = 9 if "03" in each.name else 0
        rows = f"  en/wiki: {{weight: 60, repeats: 0}}\n  code/networkx: {{weight: 40, repeats: {repeats}}}\n"
        files.write_text(each, f"total: 100\nsources:\n{rows}intent: null\nfiles: null\n")
    return load_recipe(root, "nano")


def make_clone(root: Path) -> Clone:
    book = write_recipe(root)
    write_params(root, params_for(book.recipe, "cpu-2"))
    clone = Clone(root=root, layout=Layout(root=root, recipe="nano"), book=book)
    for source, texts in raw_texts().items():
        put(clone.layout.stage("raw").data, source, texts)
    seal(clone, "raw")
    clean.work(clone.stage("clean"))
    files.make_folder(clone.layout.stage("synthesize").data)
    seal(clone, "synthesize")
    dedup.work(clone.stage("dedup"))
    folder = clone.layout.stage("decontaminated").data
    decontaminate({"quiz": [QUESTION]}, book.recipe.data.decontaminate, clone.layout.stage("dedup").data, folder)
    seal(clone, "decontaminated")
    tokenizer.work(clone.stage("tokenizer"))
    shards.work(clone.stage("shards"))
    for phase in book.recipe.phases:
        mix.work(clone.stage("mix", phase))
    index.work(clone.stage("index"))
    return clone


def seal(clone: Clone, stage: str) -> None:
    manifest.seal(clone.layout.stage(stage), clone.layout, stage=stage, inputs={}, keys={}, summary={})
