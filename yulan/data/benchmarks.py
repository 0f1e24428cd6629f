"""Items a recipe is evaluated on, out of what the stage `sources` keeps."""

from collections.abc import Iterator
from pathlib import Path

from yulan.data.readers.questions import Item, read_items
from yulan.data.readers.reject import Reject
from yulan.data.sources import located_items
from yulan.errors import DataError, RecipeError
from yulan.recipe.sources import Benchmark
from yulan.schema import suggest

__all__ = ["Item", "items"]


def items(folder: Path, benchmark: Benchmark) -> Iterator[Item]:
    """A benchmark's items below the data folder of `sources`; those of its first path come first, so a limit is stable.

    Raises: RecipeError: no such reader; DataError: a file is not there or not whole, or an item is none.
    """
    if benchmark.reader != "questions":
        raise RecipeError(
            f"no reader named {benchmark.reader!r}",
            where="sources.yaml: $.benchmarks",
            cure=suggest(benchmark.reader, ["questions"]),
        )
    paths = located_items(folder, benchmark)
    if not paths:
        place = folder / (benchmark.package or ".")
        raise DataError("a benchmark's files are not there", where=place, cure="Build the stage `sources` again")
    seen: set[str] = set()
    for item in read_items(paths):
        # A training document may be broken and left out; a benchmark's figure means something only if all of it is there.
        if isinstance(item, Reject):
            raise DataError(f"not a question: {item.reason}", where=item.where, cure="Build the stage `sources` again")
        if item.id not in seen:
            seen.add(item.id)
            yield item
