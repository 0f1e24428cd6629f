"""The optional index of spans: a text of 50 ids or more is found wherever it stands in a train stream.

Stretches of 26 ids are hashed at every 25th place of a stream, so any 50 ids in a row hold one of them whole. A query hashes the
stretches at all of its places; what meets is a candidate, and a document counts when its text holds the query.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from yulan import files
from yulan.data.index.header import Ints
from yulan.data.index.places import documents_of
from yulan.data.shard import DOCUMENTS, Stream, read_shards
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, IntegrityError, StateError
from yulan.schema import check, load_json, plain, structure

HEADER, ROWS = "spans.json", "spans.bin"
STRIDE, GRAM = 25, 26
SHORTEST = STRIDE + GRAM - 1
"""Ids in a row that surely hold a hashed stretch: 50."""
ROW = np.dtype([("hash", "<u8"), ("place", "<u8")])
BLOCK = STRIDE << 16
"""Ids hashed at a time."""
MOST = 4096
"""Places of one stretch that are looked at: a licence's header stands in thousands of documents."""
# Odd, so that no id falls out of the hash modulo 2^64; the same as in decontamination.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """spans.json."""

    format: int
    shards: str
    """Content digest of the shards' manifest."""
    rows: int
    sources: Mapping[str, int]
    """Ids in each source's train stream. Places count through them, sorted by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A document that holds the text."""

    source: str
    document: str
    start: int
    """First of its ids that carry the text."""
    length: int


def write_spans(shards: Path, digest: str, into: Path) -> Header:
    """Hash every train stream. Takes 0.64 bytes an id on disk and twice that in memory."""
    about = read_shards(shards)
    sources = {name: source.train.tokens for name, source in sorted(about.sources.items())}
    found, before = [np.empty(0, ROW)], 0
    for name, size in sources.items():
        stream = Stream(shards, about.sources[name].train, about.dtype)
        for begin in range(0, size, BLOCK):
            grams = _hashes(stream.read(begin, BLOCK + GRAM - STRIDE), STRIDE)
            rows = np.empty(len(grams), ROW)
            rows["hash"], rows["place"] = grams, before + begin + np.arange(len(grams)) * STRIDE
            found.append(rows)
        before += size
    every = np.sort(np.concatenate(found), order=["hash", "place"])
    files.write_bytes(into / ROWS, every.tobytes())
    header = Header(format=1, shards=digest, rows=len(every), sources=sources)
    files.write_json(into / HEADER, plain(header))
    return header


def _hashes(tokens: Ints, stride: int) -> npt.NDArray[np.uint64]:
    """Hash of the stretch at every `stride`-th place that has a whole one."""
    count = max(len(tokens) - GRAM + 1, 0)
    hashes = np.zeros(len(range(0, count, stride)), np.uint64)
    for offset in range(GRAM):
        hashes = hashes * _MULTIPLIER + tokens[offset : offset + count : stride].astype(np.uint64) + np.uint64(1)
    return hashes


class Spans:
    """The index, mapped, with the shards below it."""

    def __init__(self, folder: Path, shards: Path, digest: str) -> None:
        """Raises: StateError: there is none, or it is of other shards; DataError, IntegrityError: it is damaged."""
        if not (folder / HEADER).is_file():
            raise StateError("there is no index of spans", where=folder, cure="Build it with: yulan data spans")
        raw = load_json(folder / HEADER)
        check(raw, "spans", folder / HEADER, DataError)
        self.header = structure(raw, Header)
        if self.header.shards != digest:
            raise StateError("the index of spans is of other shards", where=folder, cure="Build it with: yulan data spans")
        path, wanted = folder / ROWS, self.header.rows * ROW.itemsize
        size = path.stat().st_size if path.is_file() else 0
        if size != wanted:
            raise IntegrityError(f"{size} bytes, not {wanted}", where=path, cure="Build it with: yulan data spans")
        self.rows = np.memmap(path, ROW, "r").view(np.ndarray) if size else np.empty(0, ROW)
        self.shards, self.about = shards, read_shards(shards)

    def find(self, text: str, codec: Codec) -> list[Hit]:
        """Documents whose text holds `text`, by source and id.

        Raises: DataError: the text is shorter than 50 ids.
        """
        tokens = codec.encode([text])[0][0 if codec.bos_id is None else 1 : -1]
        if len(tokens) < SHORTEST:
            raise DataError(
                f"a span of {len(tokens)} ids is too short to look for", cure=f"Give a whole document, or {SHORTEST} ids of it"
            )
        hits = {}
        for source, place in self._places(_hashes(tokens, 1)):
            table = documents_of(self.shards / source / "train" / DOCUMENTS, place, place + 1)
            row = int(np.searchsorted(table.starts, place, "right")) - 1
            key = source, table.ids[row].as_py()
            if key not in hits:
                hits[key] = self._hit(*key, int(table.starts[row]), int(table.lengths[row]), text, codec)
        return [hit for _, hit in sorted(hits.items()) if hit is not None]

    def _places(self, hashes: npt.NDArray[np.uint64]) -> Iterable[tuple[str, int]]:
        """Source and place in its stream of every stretch that meets a hash, each once."""
        names = list(self.header.sources)
        ends = np.cumsum([self.header.sources[name] for name in names])
        low, high = (np.searchsorted(self.rows["hash"], hashes, side) for side in ("left", "right"))
        met = {int(p) for a, b in zip(low, high, strict=True) for p in self.rows["place"][a : min(b, a + MOST)]}
        for place in sorted(met):
            number = int(np.searchsorted(ends, place, "right"))
            yield names[number], place - (int(ends[number - 1]) if number else 0)

    def _hit(self, source: str, document: str, start: int, length: int, text: str, codec: Codec) -> Hit | None:
        """Where in a document the text stands; None: equal hashes deceived, or the stretch crosses a document's end."""
        ids = Stream(self.shards, self.about.sources[source].train, self.about.dtype).read(start, length)
        whole = codec.decode(ids.tolist())
        begin = whole.find(text)
        if begin < 0:
            return None
        made = codec.backend.encode(whole, add_special_tokens=False)
        head = 0 if codec.bos_id is None else 1
        if made.ids != ids[head:-1].tolist():
            # A tokenizer that does not give its own ids back says nothing of single ones.
            return Hit(source=source, document=document, start=0, length=length)
        carry = [n for n, (a, b) in enumerate(made.offsets) if a < begin + len(text) and b > begin]
        return Hit(source=source, document=document, start=head + carry[0], length=carry[-1] - carry[0] + 1)


def places_of(hit: Hit, content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The places of a leaf at which some of the hit's ids were inputs."""
    for copy in content["copies"]:
        if copy["source"] == hit.source:
            for at in copy["seen"]:
                if at["start"] < hit.start + hit.length and at["start"] + at["length"] > hit.start:
                    yield at
