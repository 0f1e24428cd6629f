"""Repair each document, mask what is personal, then keep it or drop it for one reason.

Which filters judge which family, and every threshold with its source, stand in the recipe (yulan/recipe/cleaning.py).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from yulan import digest
from yulan.data import frames
from yulan.data.clean import c4, code, fineweb, gopher, language
from yulan.data.clean.lexicon import lexicon
from yulan.data.clean.privacy import mask
from yulan.data.clean.repair import repair
from yulan.data.drops import Drops, Flow, join, split, write_drops
from yulan.data.partitions import PART, Partition, Partitions, passing
from yulan.errors import DataError
from yulan.recipe.cleaning import Clean, Filter, Length, Mask
from yulan.recipe.sources import Source
from yulan.schema import plain, structure

_NO_LETTER = re.compile(r"[\W_]+")
KINDS: tuple[Mask, ...] = get_args(Mask)
RETURNS = pa.schema([("cleaned", pa.string()), ("reason", pa.string()), *((kind, pa.int64()) for kind in KINDS)])
MASKED = "masked.parquet"
"""Id and source of each kept document in which something was masked, with how much of each kind."""

Verdict = tuple[Sequence[str], Sequence[str | None]]
"""The texts, some of them trimmed, and why each is dropped."""


def clean(
    sources: Mapping[str, Source], rules: Clean, folder: Path, into: Path, partitions: Partitions | None = None
) -> tuple[Drops, dict[str, dict[str, int]]]:
    """Clean the documents of `raw`, one plan per part; ids do not move.

    Returns: what was dropped, and how much of each kind was masked in what each source keeps.
    Raises: DataError: nothing of a source is left.
    """
    if partitions is None:
        with passing(into) as passed:
            return clean(sources, rules, folder, into, passed)
    parts = frames.every_part(folder)
    # The thresholds are among the stage's keys.
    wanted = [
        Partition(
            name=f"{name}/{path.stem}",
            inputs={"part": digest.of_file(path), "source": digest.of_json(plain(sources[name]))},
            work=partial(_clean_part, path, sources[name], rules),
        )
        for name, path in parts
    ]
    flows: dict[str, list[Flow]] = {}
    masked = []
    for (name, path), made in zip(parts, partitions.make(wanted), strict=True):
        flows.setdefault(name, []).append(structure(made.summary["flow"], Flow))
        masked.append(frames.table(made.data / MASKED))
        frames.link(made.data / PART, into / name / path.name)
    joined = {name: join(found) for name, found in flows.items()}
    for name, flow in joined.items():
        if not flow.kept:
            raise DataError(
                f"no document of {name} is left",
                where=folder / name,
                cure="Loosen $.data.clean in recipe.yaml, or drop the source",
            )
    table = pa.concat_tables(masked)
    frames.write_part(into / MASKED, table)
    return write_drops(into, joined), _totals(table)


def _clean_part(path: Path, source: Source, rules: Clean, into: Path) -> dict[str, Any]:
    judged = frames.each([path], partial(_columns, source=source, rules=rules), RETURNS)
    table = judged.select(["id", "cleaned", "source"]).rename_columns(frames.DOCUMENTS.names)
    kept, flow = split(table, judged["reason"].to_pylist())
    frames.write_part(into / PART, kept)
    frames.write_part(into / MASKED, _touched(judged))
    return {"flow": plain(flow)}


def _touched(judged: pa.Table) -> pa.Table:
    """Rows of kept documents in which something was masked."""
    columns = judged.select(KINDS).to_pydict()
    some = [not reason and any(row) for reason, *row in zip(judged["reason"].to_pylist(), *columns.values(), strict=True)]
    return judged.select(["id", "source", *KINDS]).filter(pa.array(some, pa.bool_()))


def _totals(table: pa.Table) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for row in table.to_pylist():
        found.setdefault(row["source"], Counter()).update({kind: row[kind] for kind in KINDS if row[kind]})
    return {name: dict(sorted(counts.items())) for name, counts in sorted(found.items())}


def _columns(texts: list[str], *, source: Source, rules: Clean) -> dict[str, list[Any]]:
    wanted = rules.families[source.family].mask
    repaired = [mask(repair(text, code=source.language == language.CODE), wanted) for text in texts]
    cleaned, reasons = judge([text for text, _ in repaired], source, rules)
    counts: dict[str, list[Any]] = {kind: [found.get(kind, 0) for _, found in repaired] for kind in KINDS}
    return {"cleaned": list(cleaned), "reason": list(reasons), **counts}


def judge(texts: Sequence[str], source: Source, rules: Clean) -> Verdict:
    """Pass repaired texts through the filters of their family; who is dropped by one is not shown to the next."""
    texts, reasons = list(texts), [None if "\ufffd" not in text else "encoding" for text in texts]
    filters = _filters(source, rules)
    for name in rules.families[source.family].filters:
        left = [row for row, reason in enumerate(reasons) if reason is None]
        trimmed, found = filters[name]([texts[row] for row in left])
        for row, text, reason in zip(left, trimmed, found, strict=True):
            texts[row], reasons[row] = text, reason
    lexicon().forget()
    return texts, reasons


def _filters(source: Source, rules: Clean) -> dict[Filter, Callable[[Sequence[str]], Verdict]]:
    return {
        "length": lambda texts: (texts, [_length(text, rules.length) for text in texts]),
        "letters": lambda texts: (texts, [_letters(text, rules.min_letters) for text in texts]),
        "language": lambda texts: (texts, language.judge(texts, source.language, rules.language)),
        "gopher-lines": lambda texts: (texts, gopher.judge_lines(texts, rules.gopher_lines)),
        "gopher-ngrams": lambda texts: (texts, gopher.judge_ngrams(texts, rules.gopher_ngrams)),
        "gopher-quality": lambda texts: (texts, gopher.judge_quality(texts, rules.gopher_quality)),
        "c4": lambda texts: c4.trim(texts, rules.c4),
        "fineweb": lambda texts: (texts, fineweb.judge(texts, rules.fineweb)),
        "licence-header": lambda texts: (code.strip_licence(texts), [None] * len(texts)),
        "generated": lambda texts: (texts, code.judge_generated(texts, rules.code)),
        "minified": lambda texts: (texts, code.judge_minified(texts, rules.code)),
        "python-syntax": lambda texts: (texts, code.judge_python(texts)),
    }


def _length(text: str, rules: Length) -> str | None:
    return "short" if len(text) < rules.min_chars else "long" if len(text) > rules.max_chars else None


def _letters(text: str, least: float) -> str | None:
    return "few-letters" if len(_NO_LETTER.sub("", text)) < least * sum(map(len, text.split())) else None
