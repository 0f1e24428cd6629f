"""Bits per byte of documents that no phase was trained on: the one measure that tokenizers and categories share.

A document's first token follows nothing and is not predicted, in training neither; so its bytes do not count. Its end
is predicted, and counts in bits only.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, decoders

from yulan.data.shard import Shards, Stream, document_starts
from yulan.errors import DataError
from yulan.evaluate.result import Score
from yulan.evaluate.runner import Ids, Runner

Nats = npt.NDArray[np.float64]
BYTE = re.compile("<0x[0-9A-F]{2}>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """One document under both decoders."""

    after: Nats
    """(targets,), in nats."""
    before: Nats
    bytes: npt.NDArray[np.int64]
    """(targets,) UTF-8 bytes of each target."""

    def part(self, start: int, stop: int) -> "Losses":
        return Losses(after=self.after[start:stop], before=self.before[start:stop], bytes=self.bytes[start:stop])


def read_held_out(folder: Path, shards: Shards, source: str, *, tokens: int, context: int) -> list[Ids]:
    """Documents of a source's held-out split in order of their ids, whole ones while at most `tokens` ids are taken.

    A long one is cut after `context` targets.
    """
    split = shards.sources[source].held
    if not split.documents:
        return []
    stream = Stream(folder, split, shards.dtype)
    starts = document_starts(folder, source, "held")
    found, left = [], tokens
    for start, length in zip(starts.tolist(), np.diff(starts, append=split.tokens).tolist(), strict=True):
        cut = min(length, context + 1, tokens)
        if cut > left:
            break
        left -= cut
        found.append(stream.read(start, cut))
    return found


def byte_lengths(backend: Tokenizer) -> npt.NDArray[np.int64]:
    """(vocabulary,) UTF-8 bytes that each id stands for; control tokens stand for none."""
    vocabulary, added = backend.get_vocab(), backend.get_added_tokens_decoder()
    sizes = np.zeros(max(vocabulary.values()) + 1, np.int64)
    for spelling, index in vocabulary.items():
        if index in added:
            sizes[index] = 0 if added[index].special else len(spelling.encode())
        elif isinstance(backend.decoder, decoders.ByteLevel):
            # One character of the spelling for each byte.
            sizes[index] = len(spelling)
        else:
            # SentencePiece's spelling: `<0x0A>` is a byte, and `▁` a space.
            sizes[index] = 1 if BYTE.fullmatch(spelling) else len(spelling.replace("▁", " ").encode())
    return sizes


def measure(after: Runner, before: Runner, documents: Sequence[Ids], sizes: npt.NDArray[np.int64]) -> list[Losses]:
    """Losses of each document's targets, in the documents' order; those without a target are left out."""
    wanted = [document for document in documents if len(document) > 1]
    pairs = zip(wanted, _nats(after, wanted), _nats(before, wanted), strict=True)
    return [Losses(after=one, before=other, bytes=sizes[document[1:]]) for document, one, other in pairs]


def _nats(runner: Runner, documents: Sequence[Ids]) -> list[Nats]:
    found: dict[int, Nats] = {}
    # The last id is a target only.
    for index, hidden_TD in runner.each([document[:-1] for document in documents]):
        targets_T = torch.from_numpy(documents[index][1:]).to(hidden_TD.device)
        found[index] = runner.decoder.token_losses(hidden_TD, targets_T).double().cpu().numpy()
    return [found[index] for index in range(len(documents))]


def score(documents: Sequence[Losses]) -> Score | None:
    """None where there is no byte to divide by.

    Raises: DataError: a loss is not a number.
    """
    size = sum(int(document.bytes.sum()) for document in documents)
    if not size:
        return None
    bits = {name: math.fsum(float(getattr(each, name).sum()) for each in documents) / math.log(2) for name in ("after", "before")}
    if not math.isfinite(sum(bits.values())):
        raise DataError(
            "the loss of held-out text is not finite", where="evaluate", cure="Look for where training diverged in metrics.jsonl"
        )
    return Score(
        bits_per_byte=bits["after"] / size,
        before=bits["before"] / size,
        documents=len(documents),
        tokens=sum(len(document.after) for document in documents),
        bytes=size,
    )


def by_name(groups: Mapping[str, Sequence[Losses]]) -> dict[str, Score]:
    """The score of each group that has one."""
    return {name: found for name, documents in groups.items() if (found := score(documents)) is not None}


def by_position(documents: Iterable[Losses], context: int, buckets: int) -> dict[str, Score]:
    """The score of equal parts of the context, over the documents that fill it."""
    full = [document for document in documents if len(document.after) == context]
    edges, digits = [context * number // buckets for number in range(buckets + 1)], len(str(context - 1))
    return by_name(
        {
            f"positions {start:0{digits}}-{stop - 1:0{digits}}": [document.part(start, stop) for document in full]
            for start, stop in pairwise(edges)
        }
    )
