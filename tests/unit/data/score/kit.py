"""Two kinds of made-up text that share most of their words, and rules for small numbers of it."""

import random
from pathlib import Path
from typing import Any

from tests.unit.data.conftest import put
from yulan.data.documents import read_documents, source_names
from yulan.recipe.scoring import Cuts, Features, Folds, Quality, Score, Topic

COMMON = "the a of and in to is was for on with as by at from that which it its an".split()  # noqa: SIM905 - a wall of quotes
SCIENCE = "energy cell planet water force atom light heat plant rock gene mass orbit".split()  # noqa: SIM905
SOCIAL = "film king party law actor album vote court poet team novel song duke".split()  # noqa: SIM905
MANY = 240


def texts(seed: int, likeness: float, documents: int = MANY) -> list[str]:
    """Documents of 40 words; a third are telling, and of those a share of `likeness` is of science."""
    draw = random.Random(seed)

    def word() -> str:
        if draw.random() < 0.67:
            return draw.choice(COMMON)
        return draw.choice(SCIENCE if draw.random() < likeness else SOCIAL)

    return [" ".join(word() for _ in range(40)) + f" {seed} {number}" for number in range(documents)]


def fill(folder: Path, **changes: list[str]) -> Path:
    """A pool of all degrees, and references at either end; `changes` by source with _ for /."""
    mixed = [text for seed, likeness in enumerate((0.1, 0.3, 0.5, 0.7, 0.9)) for text in texts(seed, likeness, MANY // 3)]
    sources = {"web_pool": mixed, "book_science": texts(11, 0.85), "book_social": texts(12, 0.15), "code_x": ["x = 1"]}
    for name, rows in (sources | changes).items():
        put(folder, name.replace("_", "/"), rows)
    return folder


def quality(**changes: Any) -> Quality:
    keys: dict[str, Any] = {
        "sources": ("web/pool",),
        "reference": ("book/science",),
        "against": (),
        "draw": MANY,
        "c": 10.0,
        "cuts": Cuts(by="share", at=(0.2, 0.4, 0.6, 0.8)),
        "labels": None,
    }
    return Quality(**(keys | changes))


def topic(**changes: Any) -> Topic:
    keys: dict[str, Any] = {
        "sources": ("web/pool",),
        "reference": ("book/science",),
        "against": ("book/social",),
        "draw": MANY,
        "c": 10.0,
        "threshold": 0.6,
    }
    return Topic(**(keys | changes))


def rules(**changes: Any) -> Score:
    keys: dict[str, Any] = {
        "features": Features(words=2, buckets=1 << 14, chars=2000),
        "folds": Folds(calibrate=250, test=250, least=20),
        "topics": {},
        "quality": {"good": quality()},
    }
    return Score(**(keys | changes))


def documents(folder: Path) -> dict[str, tuple[str, str]]:
    """Path and text of every document, by id; a document on two paths fails."""
    found: dict[str, tuple[str, str]] = {}
    for path in source_names(folder):
        for ids, parts in read_documents(folder, path):
            for identity, text in zip(ids, parts, strict=True):
                assert identity not in found, "on two paths"
                found[identity] = (path, text)
    return found
