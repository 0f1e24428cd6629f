"""Marks from 1 to 5, given by a model: to answers that nothing else can check, and to documents."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from yulan import digest, files
from yulan.data.synthesize.engine import Engine, Request, Sampling
from yulan.data.synthesize.ledger import Ledger
from yulan.data.synthesize.prompts import fill

TEMPLATE = "judge"
"""prompts/judge.txt, with {text} where the text stands."""
MARK = re.compile(r"[1-5]")
UNMARKED = "unmarked"
SEED = 0
SCORES = pa.schema([("id", pa.string()), ("score", pa.int8()), ("generator_digest", pa.string()), ("prompt_digest", pa.string())])


def mark(said: str) -> int | None:
    """One digit and nothing else; a mark in words, in a sentence or out of range is none."""
    said = said.strip()
    return int(said) if MARK.fullmatch(said) else None


def marks(texts: Sequence[tuple[str, str]], template: str, engine: Engine, new_tokens: int, ledger: Ledger) -> list[int | None]:
    """A mark for each (key, text); greedy, and None where the model gave no mark."""
    requests = [Request(key=f"{key}/judge", prompt=fill(template, {"text": text}), seed=SEED) for key, text in texts]
    answers = ledger.ask(engine, requests, sampling(new_tokens))
    return [mark(answer.text) for answer in answers]


def sampling(new_tokens: int) -> Sampling:
    return Sampling(max_new_tokens=new_tokens, temperature=0.0, top_p=1.0, stop=())


def score_documents(
    batches: Iterable[Sequence[tuple[str, str]]], template: str, engine: Engine, new_tokens: int, ledger: Ledger, path: Path
) -> int:
    """Mark documents, batches of (id, text), and write `path`: one row each, in their order; null where there was no mark.

    `prompt_digest` is the template's: the text is the document that `id` names. Marks that the ledger holds are not asked for
    again. Returns: documents that got a mark.
    """
    told, marked = digest.of_bytes(template.encode()), 0
    with files.open_new(path) as file, pq.ParquetWriter(file, SCORES) as writer:
        for batch in batches:
            found = marks(batch, template, engine, new_tokens, ledger)
            marked += sum(each is not None for each in found)
            rows = _rows(batch, found, engine.digest, told)
            writer.write_table(pa.Table.from_pylist(list(rows), schema=SCORES))
    return marked


def _rows(batch: Sequence[tuple[str, str]], found: Sequence[int | None], engine: str, told: str) -> Iterator[dict[str, object]]:
    for (document, _), each in zip(batch, found, strict=True):
        yield {"id": document, "score": each, "generator_digest": engine, "prompt_digest": told}
