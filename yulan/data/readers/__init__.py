"""Documents out of the files of a source. A reader yields texts, and a Reject for what it cannot take.

A source names its reader and the reader's options in sources.yaml.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from yulan.data.readers.dictionary import read_characters, read_words
from yulan.data.readers.questions import read_passages, read_questions
from yulan.data.readers.reasoning import read_reasoning
from yulan.data.readers.reject import LONGEST, Reject
from yulan.data.readers.rows import read_rows
from yulan.data.readers.warc import read_warc
from yulan.data.readers.whole import read_code, read_summaries, read_text
from yulan.errors import RecipeError
from yulan.recipe.sources import Source
from yulan.schema import Scalar, suggest

__all__ = ["READERS", "Reject", "documents"]

Reader = Callable[[list[Path], Mapping[str, Scalar]], Iterator[str | Reject]]

READERS: Mapping[str, Reader] = {
    "code": read_code,
    "dictionary-characters": read_characters,
    "dictionary-words": read_words,
    "passages": read_passages,
    "questions": read_questions,
    "reasoning-gym": read_reasoning,
    "rows": read_rows,
    "summaries": read_summaries,
    "text": read_text,
    "warc": read_warc,
}
OPTIONS: Mapping[str, Mapping[str, type | tuple[str, ...]]] = {
    "reasoning-gym": {"rows": int, "seed": int},
    "rows": {"column": str},
    "text": {"per": ("file", "line")},
}
"""What each reader is told: of a type, or one of these words. The others take nothing."""


def documents(source: Source, name: str, paths: list[Path]) -> Iterator[str | Reject]:
    """The texts of a source, in the order of its files.

    Raises: RecipeError: no such reader, or other options than it takes; DataError: a file is not what the reader reads.
    """
    if source.reader not in READERS:
        raise RecipeError(
            f"no reader named {source.reader!r}",
            where=f"sources.yaml: $.sources.{name}.reader",
            cure=suggest(source.reader, sorted(READERS)),
        )
    _require_options(source, name)
    for found in READERS[source.reader](paths, source.options):
        if isinstance(found, str) and len(found) > LONGEST:
            yield Reject(where=name, reason="huge")
        elif isinstance(found, str) and not found.isascii() and any("\ud800" <= c <= "\udfff" for c in found):
            yield Reject(where=name, reason="surrogate")
        else:
            yield found


def _require_options(source: Source, name: str) -> None:
    wanted = OPTIONS.get(source.reader, {})
    right = source.options.keys() == wanted.keys() and all(
        value in kind if isinstance(kind, tuple) else type(value) is kind
        for value, kind in ((source.options[key], kind) for key, kind in wanted.items())
    )
    if not right:
        told = {key: " | ".join(kind) if isinstance(kind, tuple) else kind.__name__ for key, kind in wanted.items()}
        raise RecipeError(
            f"the reader {source.reader!r} is told other things",
            where=f"sources.yaml: $.sources.{name}.options",
            cure=f"Write options: {{{', '.join(f'{key}: {kind}' for key, kind in told.items())}}}",
        )
