"""What may be wrong with what a bundle says of licences, origins and distances, by the rule that names it."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.unit.release.wrong_data import replace

SOURCES, CARD = "data/main/sources.csv", "data/main/README.md"
MODEL = "model/main/README.md"
END, SHORT = "phase-02-step-000024", "phase-03-short-step-000032"
RECIPE = "data/main/recipes/tiny/recipe.yaml"


def row(bundle: Path, source: str, **values: str | None) -> None:
    """Change a row of sources.csv, or take it out."""
    path = bundle / SOURCES
    rows = list(csv.DictReader(path.read_text().splitlines()))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(each | values if each["source"] == source else each for each in rows if values or each["source"] != source)
    replace(path, out.getvalue())


def say(bundle: Path, name: str, old: str, new: str) -> None:
    """Let a file say something else once."""
    text = (bundle / name).read_text()
    assert old in text, old
    replace(bundle / name, text.replace(old, new, 1))


def line(bundle: Path, name: str, pattern: str) -> None:
    """Take out a line."""
    text = (bundle / name).read_text()
    assert re.search(pattern, text, re.MULTILINE), pattern
    replace(bundle / name, re.sub(pattern + ".*\n", "", text, count=1, flags=re.MULTILINE))


def scale(bundle: Path, factor: float, *ends: str) -> None:
    """Master weights as of another training run."""
    for end in ends:
        path = bundle / "states" / end / "checkpoint/weights-00001-of-00001.safetensors"
        tensors = {name: tensor * factor + torch.tensor(factor) for name, tensor in load_file(path).items()}
        path.unlink()
        save_file(tensors, path)


def poison(bundle: Path, revision: str) -> None:
    """NaN in the master, and the release's cast of it."""
    for path in ("states", "checkpoint/weights-00001-of-00001.safetensors"), ("model", "model.safetensors"):
        file = bundle / path[0] / revision / path[1]
        tensors = load_file(file)
        tensors["model.norm.weight"][0] = float("nan")
        file.unlink()
        save_file(tensors, file)


def recipe(bundle: Path, **values: object) -> None:
    """Change the release section of the recipe in the bundle."""
    raw = yaml.safe_load((bundle / RECIPE).read_text())
    raw["release"] |= values
    replace(bundle / RECIPE, yaml.safe_dump(raw, sort_keys=False, allow_unicode=True))


def pin(path: Path, name: str, digest: str | None) -> None:
    """Change or take out an input of a manifest."""
    raw = json.loads(path.read_text())
    raw["inputs"] = {**{key: value for key, value in raw["inputs"].items() if key != name}, **({name: digest} if digest else {})}
    replace(path, json.dumps(raw))


WIKI = "a is a word of 0 letters."
"""A document of a source whose text is withheld."""
FORBIDS = "licence: CC-BY-ND-4.0\n    attribution: NetworkX"
LINEAGE = "states/main/lineage"
CLAIMS: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "lineage-complete",
        lambda b: (b / LINEAGE / "raw.json").unlink(),
        "clean was made from raw, whose manifest is not",
    ),
    ("lineage-complete", lambda b: (b / LINEAGE / "train/phase-02.json").unlink(), "no train@phase-02 in lineage/"),
    ("lineage-complete", lambda b: pin(b / LINEAGE / "clean.json", "raw", "0" * 64), "clean was made from another raw"),
    ("lineage-complete", lambda b: pin(b / LINEAGE / "clean.json", "raw", None), "clean does not say what it was made from"),
    (
        "lineage-complete",
        lambda b: pin(b / "model/main/manifest.json", "export", "0" * 64),
        "was made from another export",
    ),
    (
        "lineage-complete",
        lambda b: pin(b / "data/main/lineage/raw.json", "sources", "0" * 64),
        "another manifest of raw",
    ),
    (
        "lineage-complete",
        lambda b: replace(b / "states/main/manifest.json", emptied(b)),
        "states/main does not say",
    ),
    ("distances-plausible", lambda b: scale(b, 40.0, SHORT), f"{END} to {SHORT} is "),
    ("distances-plausible", lambda b: alike(b), "is 0 by learning rate"),
    ("weights-are-the-masters", lambda b: poison(b, "phase-01-step-000016"), "model.norm.weight is not finite"),
    ("licences-counted", lambda b: row(b, "en/wiki"), "no row for en/wiki: "),
    ("licences-counted", lambda b: say(b, SOURCES, "en/wiki,", "en/wikis,"), "a row for en/wikis, of which no mix takes a token"),
    (
        "licences-counted",
        lambda b: row(b, "en/wiki", licence="MIT"),
        "its licence is 'MIT', that of the recipe 'unknown'",
    ),
    ("licences-counted", lambda b: row(b, "code/networkx", attribution="Us"), "code/networkx: its attribution is 'Us'"),
    ("duties-met", lambda b: row(b, "code/networkx", attribution=" "), "BSD-3-Clause asks whom to name, and nobody is named"),
    ("duties-met", lambda b: row(b, "code/networkx", licence="LGPL-9"), "code/networkx: nobody wrote down what LGPL-9 asks"),
    (
        "duties-met",
        lambda b: line(b, CARD, r"- `code/networkx`: by"),
        "README.md does not say of code/networkx: - `",
    ),
    (
        "duties-met",
        lambda b: line(b, "data/main/README.zh.md", r"- `code/networkx`: 由"),
        "README.zh.md does not say of code/networkx",
    ),
    (
        "duties-met",
        lambda b: row(b, "code/networkx", licence="CC-BY-SA-4.0"),
        "; what is made from it is passed on under the same licence only.",
    ),
    (
        "unknown-text-withheld",
        lambda b: pq.write_table(pa.table({"content": [WIKI]}), b / "data/main/x.parquet"),
        "data/main/x.parquet holds text of en/wiki under another name",
    ),
    (
        "unknown-text-withheld",
        lambda b: pq.write_table(pa.table({"text": [WIKI], "source": ["code/networkx"]}), b / "data/main/x.parquet"),
        "data/main/x.parquet holds text of en/wiki under another name",
    ),
    (
        "unknown-text-withheld",
        lambda b: replace(b / "model/main/x.jsonl", json.dumps({"prompt": WIKI}) + "\n"),
        "model/main/x.jsonl holds text of en/wiki under another name",
    ),
    (
        "unknown-text-withheld",
        lambda b: say(b, "data/main/recipes/tiny/sources.yaml", "licence: BSD-3-Clause\n    attribution: NetworkX", FORBIDS),
        "the licence of code/networkx is CC-BY-ND-4.0, which does not let its text be passed on",
    ),
    ("sentences-agree", lambda b: say(b, "model/main/LICENSE", "MIT License", "Apache License"), "LICENSE is of 'Apache'"),
    ("sentences-agree", lambda b: say(b, "data/main/LICENSE", " AND BSD-3-Clause", ""), "data/main: LICENSE is of 'Apache-2.0'"),
    (
        "sentences-agree",
        lambda b: say(b, MODEL, "| weights | MIT |", "| weights | unknown |"),
        "the weights: unknown; it is MIT",
    ),
    ("sentences-agree", lambda b: say(b, MODEL, ", some of them unknown |", " |"), "says of the training text: per source"),
    ("sentences-agree", lambda b: say(b, MODEL, "-data]\ntags", "-other]\ntags"), "model/main: its card names the data"),
    (
        "sentences-agree",
        lambda b: say(b, CARD, "| code | BSD-3-Clause |", "| code | MIT |"),
        "says that `code/networkx` is under MIT, sources.csv BSD-3-Clause",
    ),
    (
        "sentences-agree",
        lambda b: say(b, "data/main/README.zh.md", "| code | BSD-3-Clause |", "| code | MIT |"),
        "data/main: README.zh.md says that `code/networkx` is under MIT",
    ),
    (
        "sentences-agree",
        lambda b: say(b, "data/main/croissant.json", "BSD-3-Clause", "MIT"),
        "json says Apache-2.0, MIT",
    ),
    (
        "sentences-agree",
        lambda b: row(b, "en/wiki", text="published"),
        "sources.csv says of the text of en/wiki: published; it is not there",
    ),
    (
        "sentences-agree",
        lambda b: row(b, "code/networkx", text="fetched from its package"),
        "sources.csv says of the text of code/networkx: fetched from its package; it is there",
    ),
    (
        "sentences-agree",
        lambda b: say(b, CARD, "| `en/wiki` | `pip", "| `code/networkx` | `pip"),
        "lists code/networkx as not",
    ),
    ("sentences-agree", lambda b: line(b, CARD, r"\| `en/wiki` \| `pip"), "does not list en/wiki as not published"),
]


def alike(bundle: Path) -> None:
    """A branch that serves its parent's weights."""
    name = "checkpoint/weights-00001-of-00001.safetensors"
    replace(bundle / "states" / END / name, (bundle / "states/phase-01-step-000016" / name).read_bytes())


def emptied(bundle: Path) -> str:
    return json.dumps(json.loads((bundle / "states/main/manifest.json").read_text()) | {"inputs": {}})
