"""Which documents a step is made of, from tables alone; their text where the shards' tokens are at hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yulan import manifest
from yulan.data.index.header import Stretch
from yulan.data.index.places import Documents, Table, Windows, documents_of
from yulan.data.index.seen import published
from yulan.data.index.write import stretch
from yulan.data.order import Order
from yulan.data.shard import DOCUMENTS, INDEX, Shards, Stream, read_shards
from yulan.data.tokenizer import Codec
from yulan.errors import DataError
from yulan.layout import Layout
from yulan.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A stretch of a document in one window of a step."""

    micro: int
    """Micro-batch of the step."""
    row: int
    """Window of the pack."""
    position: int
    """Its first input in the window."""
    source: str
    document: str
    start: int
    """That id's number in the document."""
    length: int
    tokens: int
    """Ids of the whole document, its end counted."""
    offset: int
    """That id's number in the source's train stream."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Phase:
    """A phase's windows, their order and the documents below them."""

    name: str
    windows: Windows
    stretch: Stretch
    order: Order
    documents: Documents
    shards: Shards
    tokens: Path | None
    """Folder of the token files; None in a pulled data repository, which has none."""

    @classmethod
    def of_clone(cls, layout: Layout, recipe: Recipe, phase: str) -> "Phase":
        """Raises: DataError: the mix or the shards are not built."""
        folder, place = layout.stage("shards").data, layout.stage("mix", phase)
        shards = read_shards(folder)
        windows = Windows.open(place.data, shards)
        about = stretch(recipe, phase, manifest.read(place.manifest).digest, windows)

        def documents(source: str, low: int, high: int) -> Table:
            return documents_of(folder / source / "train" / DOCUMENTS, low, high)

        order = about.order(recipe.seed)
        return cls(name=phase, windows=windows, stretch=about, order=order, documents=documents, shards=shards, tokens=folder)

    @classmethod
    def of_release(cls, folder: Path, phase: str) -> "Phase":
        """The same from a pulled data repository.

        Raises: DataError: it has no such phase.
        """
        header, shards = published(folder).index.header, read_shards(folder)
        if phase not in header.phases:
            known = ", ".join(header.phases)
            raise DataError(f"no phase {phase} in the index", where=folder / INDEX, cure=f"Choose one of: {known}")

        def documents(source: str, low: int, high: int) -> Table:
            return documents_of(folder / "documents" / "train.parquet", low, high, source)

        about = header.phases[phase]
        windows = Windows.open(folder / "packs" / phase, shards)
        order = about.order(header.seed)
        return cls(name=phase, windows=windows, stretch=about, order=order, documents=documents, shards=shards, tokens=None)

    @property
    def steps(self) -> range:
        """Global steps of the phase."""
        first = self.stretch.before + 1
        return range(first, first + self.stretch.windows // self.stretch.batch)

    def passages(self, step: int) -> list[Passage]:
        """The documents of a step, in the order of its micro-batches, windows and inputs.

        Raises: DataError: the step is not one of the phase's.
        """
        if step not in self.steps:
            raise DataError(
                f"step {step} is not one of {self.name}",
                cure=f"Its steps, counted along the path, are {self.steps[0]} to {self.steps[-1]}",
            )
        rows = self.order.rows((step - self.steps[0]) * self.stretch.batch + np.arange(self.stretch.batch))
        turn = {row: number for number, row in enumerate(rows.tolist())}
        found = []
        for each in self.windows.places(rows, self.documents):
            # Not by `take`: it would import pandas, which takes longer than all the rest.
            names = [each.table.ids[number].as_py() for number in each.document.tolist()]
            about = each.table
            offset = about.starts[each.document] + each.start
            numbers = (each.row, each.position, each.start, each.length, about.lengths[each.document], offset)
            for name, row, *rest in zip(names, *(column.tolist() for column in numbers), strict=True):
                position, start, length, tokens, offset = rest
                found.append(
                    Passage(
                        micro=turn[row] // (self.stretch.batch // self.stretch.grid),
                        row=row,
                        position=position,
                        source=each.source,
                        document=name,
                        start=start,
                        length=length,
                        tokens=tokens,
                        offset=offset,
                    )
                )
        return sorted(found, key=lambda passage: (turn[passage.row], passage.position))

    def of_rank(self, passages: list[Passage], rank: int, ranks: int) -> list[Passage]:
        """What one of `ranks` processes gets: neighbouring micro-batches.

        Raises: DataError: there is no such rank, or the grid cannot be divided so.
        """
        grid = self.stretch.grid
        if not 0 <= rank < ranks or grid % ranks:
            raise DataError(
                f"rank {rank} of {ranks} has no share in a grid of {grid}",
                cure="Give a rank below the number of processes, and a number that divides the grid",
            )
        share = range(rank * (grid // ranks), (rank + 1) * (grid // ranks))
        return [passage for passage in passages if passage.micro in share]

    def texts(self, passages: list[Passage], codec: Codec) -> list[str]:
        """What the ids of each passage say; a character that a window's edge divides becomes U+FFFD.

        Raises: IntegrityError: a token file is missing.
        """
        if self.tokens is None:
            return []
        names = {passage.source for passage in passages}
        streams = {name: Stream(self.tokens, self.shards.sources[name].train, self.shards.dtype) for name in names}
        return [codec.decode(streams[each.source].read(each.offset, each.length).tolist()) for each in passages]
