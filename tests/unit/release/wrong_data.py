"""What may be wrong with the data sets of a bundle, by the rule that names it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from yulan import files
from yulan.recipe.removed import NOTHING, Removal, write_removed


def replace(path: Path, text: str | bytes) -> None:
    files.write_bytes(path, text.encode() if isinstance(text, str) else text)


def describe(bundle: Path, change: Callable[[dict], object]) -> None:
    """Change croissant.json."""
    path = bundle / "data/main/croissant.json"
    described = json.loads(path.read_text())
    change(described)
    replace(path, json.dumps(described))


def remove(bundle: Path, identity: str) -> None:
    """Enter a document that the bundle still holds."""
    asked = Removal(id=identity, date="2026-11-25", reason="author", goes_with=None)
    write_removed(bundle / "data/main/recipes/tiny/removed.yaml", NOTHING.with_more((asked,)))


DATA: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "removed-left-out",
        lambda b: remove(b, pq.read_table(b / "data/main/synthetic/sums/00000.parquet")["id"][0].as_py()),
        "data/main/synthetic/sums/00000.parquet holds text of the removed document",
    ),
    ("croissant-valid", lambda b: (b / "data/main/croissant.json").unlink(), "croissant.json is not there"),
    ("croissant-valid", lambda b: describe(b, lambda d: d["distribution"].pop()), "rejected.parquet is not described"),
    (
        "croissant-valid",
        lambda b: describe(b, lambda d: d["distribution"][0].update(contentUrl="x.parquet")),
        "x.parquet is described and not there",
    ),
    (
        "croissant-valid",
        lambda b: describe(b, lambda d: d["distribution"][0].update(sha256="0" * 64)),
        "synthetic/sums/00000.parquet has another sha256",
    ),
    ("croissant-valid", lambda b: describe(b, lambda d: d["recordSet"][0]["field"].pop()), "its file others"),
    (
        "croissant-valid",
        lambda b: describe(b, lambda d: d["recordSet"][0]["field"][0]["source"].update(fileObject={"@id": "nowhere"})),
        "croissant.json: Found the following",
    ),
]
