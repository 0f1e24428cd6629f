"""Ask the published index: by bisection in mapped files, with the path from the answer to the root."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from yulan.data.index import tree
from yulan.data.index.header import FORMS, HEADER, LEAVES, OFFSETS, TREE, Header
from yulan.errors import DataError, IntegrityError
from yulan.schema import check, load_json, structure

CURE = "Restore it with: dvc checkout, or pull the release again"
Form = Literal["id", "raw", "cleaned", "masked", "twin", "span"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    number: int
    """From 0, in the order of ids."""
    text: str
    """What is hashed: canonical JSON."""
    path: tuple[str, ...]
    """Hashes beside the way to the root, from below, in hex."""

    @property
    def content(self) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def id(self) -> str:
        found: str = self.content["id"]
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the index says of one document."""

    asked: str
    """The id that was looked for: the digest of the text where a text was given."""
    form: Form
    """What was recognised: the id or a text as it came, the text after cleaning, a dropped copy, or a span of a document."""
    leaf: Leaf | None
    """None: not in the index."""
    neighbours: tuple[Leaf, ...]
    """Without a leaf: the ones that it would stand between; one at either end of the index."""


class Index:
    """index.json and the tables beside it."""

    def __init__(self, folder: Path) -> None:
        """Raises: DataError: index.json is missing or wrong; IntegrityError: the files do not fit each other."""
        self.folder = folder
        raw = load_json(folder / HEADER)
        check(raw, "index", folder / HEADER, DataError)
        self.header = structure(raw, Header)
        count = self.header.documents
        self.offsets = self._mapped(OFFSETS, (count + 1) * 8).view("<u8")
        self.leaves = self._mapped(LEAVES, int(self.offsets[-1]))
        self.tree = self._mapped(TREE, sum(tree.sizes(count)) * tree.WIDTH)
        self.forms = self._mapped(FORMS, None)
        if self._node(sum(tree.sizes(count)) - 1).hex() != self.header.root:
            raise IntegrityError("the tree has another root than index.json", where=folder, cure=CURE)

    def _mapped(self, name: str, size: int | None) -> npt.NDArray[np.uint8]:
        path = self.folder / name
        there = path.stat().st_size if path.is_file() else 0
        if there != size if size is not None else there % (2 * tree.WIDTH):
            raise IntegrityError(f"{there} bytes do not fit index.json", where=path, cure=CURE)
        return np.memmap(path, np.uint8, "r").view(np.ndarray) if there else np.empty(0, np.uint8)

    def _node(self, number: int) -> bytes:
        return self.tree[number * tree.WIDTH : (number + 1) * tree.WIDTH].tobytes()

    def _text(self, number: int) -> bytes:
        return self.leaves[int(self.offsets[number]) : int(self.offsets[number + 1])].tobytes()

    def leaf(self, number: int) -> Leaf:
        """A leaf with its path, which was followed.

        Raises: IntegrityError: it does not lead to the root.
        """
        count, text = self.header.documents, self._text(number)
        path = [self._node(each) for each in tree.siblings(number, count)]
        root = tree.root_of(text, number, count, path)
        if root is None or root.hex() != self.header.root:
            raise IntegrityError(f"leaf {number} does not lead to the root", where=self.folder, cure=CURE)
        return Leaf(number=number, text=text.decode(), path=tuple(each.hex() for each in path))

    def place(self, identity: str) -> int:
        """Number of the first leaf whose id is not below `identity`."""
        low, high = 0, self.header.documents
        while low < high:
            middle = (low + high) // 2
            if self._id(middle) < identity:
                low = middle + 1
            else:
                high = middle
        return low

    def _id(self, number: int) -> str:
        try:
            found: str = json.loads(self._text(number))["id"]
        except (ValueError, KeyError, TypeError):
            raise IntegrityError(f"leaf {number} cannot be read", where=self.folder, cure=CURE) from None
        return found

    def find(self, identity: str) -> Leaf | None:
        number = self.place(identity)
        if number == self.header.documents or self._id(number) != identity:
            return None
        return self.leaf(number)

    def others(self, key: str) -> list[str]:
        """Ids of the documents that another text with this digest leads to."""
        rows, wanted = self.forms.reshape(-1, 2, tree.WIDTH), bytes.fromhex(key)
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high) // 2
            if rows[middle, 0].tobytes() < wanted:
                low = middle + 1
            else:
                high = middle
        found = []
        while low < len(rows) and rows[low, 0].tobytes() == wanted:
            found.append(rows[low, 1].tobytes().hex())
            low += 1
        return found

    def ask(self, identity: str, form: Form) -> Answer:
        """What there is of an id, or of a text by its digest; a dropped copy leads to the one that was kept."""
        leaf = self.find(identity)
        if leaf is not None:
            return Answer(asked=identity, form=form, leaf=leaf, neighbours=())
        for other in self.others(identity):
            leaf = self.find(other)
            if leaf is not None:
                content = leaf.content
                if identity in content["twins"]:
                    return Answer(asked=identity, form="twin", leaf=leaf, neighbours=())
                if any(copy["text"] == identity for copy in content["copies"]):
                    # Whoever made the digest of something cleaned knows more of how than the index does.
                    known: Form = "cleaned" if form in ("id", "raw") else form
                    return Answer(asked=identity, form=known, leaf=leaf, neighbours=())
        number = self.place(identity)
        beside = tuple(self.leaf(each) for each in (number - 1, number) if 0 <= each < self.header.documents)
        return Answer(asked=identity, form=form, leaf=None, neighbours=beside)
