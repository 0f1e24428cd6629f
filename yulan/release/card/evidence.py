"""evidence.json: every figure in a card, in the order of the text, with the file and key it was read from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yulan.errors import DataError
from yulan.schema import check, load_json, load_yaml, plain, read_json

EVIDENCE = "evidence.json"
Language = Literal["en", "zh"]
CARDS: Mapping[Language, tuple[str, str]] = {"en": ("README.md", EVIDENCE), "zh": ("README.zh.md", "evidence.zh.json")}
"""A card and its evidence, by language."""
POLICY, CONTENT = "POLICY.md", "training-content.md"
PAGES: Mapping[str, str] = dict(CARDS.values()) | {
    POLICY: "evidence.policy.json",
    CONTENT: "evidence.training-content.json",
}
"""Every page that is made of a template, and its evidence."""
FORMATS: Mapping[str, Callable[[Any], str]] = {
    "text": str,
    "integer": "{:,d}".format,
    "decimal": "{:.3f}".format,
    "scientific": "{:.3g}".format,
    "percent": "{:.1%}".format,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    text: str
    """As it stands in the card."""
    file: str
    """In the same folder."""
    key: str
    """JSON Pointer (RFC 6901) into it."""
    format: str
    """How the value became text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    format: int
    figures: tuple[Figure, ...]


def lookup(value: Any, pointer: str, where: object) -> Any:
    """Raises: DataError: no such key."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise DataError(f"no value at {pointer}", where=where, cure="Build the results again, then the bundle") from None
    return value


def pointer(*parts: str | int) -> str:
    """JSON Pointer of nested keys, which may hold slashes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def load(path: Path) -> Any:
    return load_yaml(path) if path.suffix == ".yaml" else load_json(path)


def read_evidence(path: Path) -> Evidence:
    """Raises: DataError: none, or it breaks its schema."""
    return read_json(path, "evidence", Evidence)


class Figures:
    """What a template calls for its numbers; remembers each one."""

    def __init__(self, folder: Path, documents: Mapping[str, Any]) -> None:
        self.folder = folder
        self.documents = dict(documents)
        self.found: list[Figure] = []

    def __call__(self, file: str, key: str, kind: str = "text") -> str:
        """Text of the value at `key` of `file`."""
        if file not in self.documents:
            self.documents[file] = load(self.folder / file)
        text = FORMATS[kind](lookup(self.documents[file], key, self.folder / file))
        self.found.append(Figure(text=text, file=file, key=key, format=kind))
        return text

    def evidence(self) -> dict[str, Any]:
        raw: dict[str, Any] = plain(Evidence(format=1, figures=tuple(self.found)))
        check(raw, "evidence", self.folder / EVIDENCE, DataError)
        return raw


MOST = 100
"""Rows after which a card is looked at no further."""
# A comment and a link end before the next one begins, or a card of nothing but beginnings would take hours.
_SILENT = re.compile(
    r"\A---\n.*?\n---\n|^```.*?^```|`[^`\n]*`|<!--(?:(?!<!--).)*?-->|\]\([^)\[\]\n]*\)|https?://\S+", re.DOTALL | re.MULTILINE
)
# Chinese characters and marks end a word as a space does, or a number between them would hide.
_APART = r"\s|()\[\]*_~>,;:!?\"'\u3000-\u303f\u4e00-\u9fff\uff00-\uffef"
_TOKEN = re.compile(rf"[^{_APART}]+(?:[.,][^{_APART}]+)*")


def naked(text: str) -> list[str]:
    """Words of a passage that begin with a digit or sign and hold one: numbers. Names like phase-03 begin with a letter."""
    return [word for word in _TOKEN.findall(text) if re.search(r"\d", word) and not re.match(r"[^\W\d_]", word)]


def prose(card: str) -> str:
    """A card without header, code, comments and addresses."""
    return _SILENT.sub(lambda found: " " * len(found[0]), card)


def unproven(card: str, figures: tuple[Figure, ...]) -> list[str]:
    """Numbers in a card's prose that no figure accounts for, and figures that the card does not show, in its order."""
    body, at, rows = prose(card), 0, []
    for figure in figures:
        # A whole word: the figure 4 is not shown by phase-04.
        found = re.compile(rf"(?<![\w./-]){re.escape(figure.text)}(?!\w|[.,]\d)").search(body, at)
        if found is None:
            rows.append(f"the card does not show {figure.text!r} ({figure.file} {figure.key})")
            if len(rows) > MOST:
                # Each costs a look through the whole card.
                break
            continue
        rows += [f"{word!r} has no evidence" for word in naked(body[at : found.start()])]
        at = found.end()
    return rows + [f"{word!r} has no evidence" for word in naked(body[at:])]
