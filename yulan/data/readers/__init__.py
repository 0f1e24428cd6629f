"""Documents out of the files of a source. A reader yields texts, and a Reject for what it cannot take.

A source names its reader and the reader's options in sources.yaml.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from yulan.data.readers.dictionary import read_characters, read_words
from yulan.data.readers.questions import read_passages, read_questions
from yulan.data.readers.reasoning import read_reasoning
from yulan.data.readers.reject import LONGEST, Reject
from yulan.data.readers.whole import read_code, read_summaries
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
    "summaries": read_summaries,
}


def documents(source: Source, name: str, paths: list[Path]) -> Iterator[str | Reject]:
    """The texts of a source, in the order of its files.

    Raises: RecipeError: no such reader; DataError: a file is not what the reader reads.
    """
    if source.reader not in READERS:
        raise RecipeError(
            f"no reader named {source.reader!r}",
            where=f"sources.yaml: $.sources.{name}.reader",
            cure=suggest(source.reader, sorted(READERS)),
        )
    for found in READERS[source.reader](paths, source.options):
        if isinstance(found, str) and len(found) > LONGEST:
            yield Reject(where=name, reason="huge")
        elif isinstance(found, str) and not found.isascii() and any("\ud800" <= c <= "\udfff" for c in found):
            yield Reject(where=name, reason="surrogate")
        else:
            yield found
