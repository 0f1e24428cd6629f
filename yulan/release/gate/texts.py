"""The rule about whose text is published, asked of what files hold, whatever they and their columns are called."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from yulan import digest
from yulan.recipe.outcome import PASSED_ON
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.claims import UNKNOWN

DOCUMENTS = "documents"
"""Folder of the data whose files hold ids and digests of every document, and no text."""
SHORTEST = 16
"""Characters of a text that is looked up: labels and numbers are shorter."""
_ID = re.compile(r"[0-9a-f]{64}")


def unknown_text_withheld(bundle: Bundle) -> Iterator[str]:
    """Text is published of those sources only that are our own making or that the recipe names, as their licence allows;
    no file holds a document of another source, whatever the file says that it is."""
    allowed = {row["source"] for row in bundle.sources if row["text"] == "published" and row["licence"] != UNKNOWN}
    book = bundle.book.sources.sources
    named = set(bundle.book.recipe.release.text)
    for name in sorted(allowed):
        if name not in book or not (book[name].synthetic or (name in named and book[name].licence in PASSED_ON)):
            yield f"{name} is not ours to publish"
            allowed.discard(name)
    made = {name for name, source in book.items() if source.synthetic and source.licence != UNKNOWN}
    withheld = _withheld(bundle, allowed | made)
    for path in bundle.files():
        if path.suffix not in {".parquet", ".jsonl"} or path.parent == bundle.data / DOCUMENTS:
            continue
        told, found = set[str](), set[str]()
        for source, texts in _texts(path):
            told |= {source} if source is not None else set()
            found |= {withheld[each] for text in texts if (each := bytes.fromhex(digest.of_text(text))) in withheld}
        yield from (f"{bundle.name(path)} holds text of {name}" for name in sorted(told - allowed - made))
        yield from (f"{bundle.name(path)} holds text of {name} under another name" for name in sorted(found - told))


def _withheld(bundle: Bundle, open_sources: set[str]) -> dict[bytes, str]:
    """Digests of documents whose text is not published, as they were found and as they were cleaned, with their source."""
    import pyarrow.parquet as pq

    found: dict[bytes, str] = {}
    for path in sorted((bundle.data / DOCUMENTS).glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(columns=["source", "id", "cleaned"]):
            for source, *digests in zip(*(batch.column(name).to_pylist() for name in batch.schema.names), strict=True):
                if source not in open_sources:
                    found |= {bytes.fromhex(each): source for each in digests if each is not None}
    return found


def _texts(path: Path) -> Iterator[tuple[str | None, list[str]]]:
    """(source that a row with a column `text` names, every other text of the row, whatever its column)."""
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as file:
            rows = (json.loads(line) for line in file)
            yield from (_row(row) for row in rows if isinstance(row, dict))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    kinds = {pa.string(), pa.large_string()}
    names = [field.name for field in file.schema_arrow if field.type in kinds]
    for batch in file.iter_batches(columns=names) if names else ():
        yield from (_row(row) for row in batch.to_pylist())


def _row(row: dict[str, object]) -> tuple[str | None, list[str]]:
    source = str(row.get("source", "?")) if "text" in row else None
    return source, [
        value for value in row.values() if isinstance(value, str) and len(value) >= SHORTEST and not _ID.fullmatch(value)
    ]
