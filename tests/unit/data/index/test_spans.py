"""Laws of the index of spans: what is 50 ids long is found wherever it stands, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.conftest import bpe, put, sentences
from yulan import files
from yulan.data import tokenizer
from yulan.data.index.spans import SHORTEST, Hit, Spans, places_of, write_spans
from yulan.data.shard import Stream, write_shards
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, IntegrityError, StateError
from yulan.recipe import corpus

SHARED = "This stretch of words stands in two documents of two sources, and is long enough to be looked for among all others."
TEXTS = {
    "a": [*sentences(1, 40, 200), f"One begins with itself. {SHARED}"],
    "b/c": [*sentences(2, 40, 200), f"{SHARED} The other one ends with itself.", "short"],
}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "bos"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """A tokenizer with merges, so that a text cut anywhere begins and ends with other ids."""
    folder = tmp_path_factory.mktemp("tokenizer")
    learned = bpe(vocab_size=320)
    texts = iter([text for some in TEXTS.values() for text in some])
    tokenizer.save(tokenizer.train(texts, learned, begin_with_bos=request.param), folder, learned)
    return tokenizer.load(folder, learned, begin_with_bos=request.param)


@pytest.fixture(scope="module")
def shards(codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spans")
    for name, texts in TEXTS.items():
        put(root / "text", name, texts)
    rules = corpus.Shards(tokens=1000, held_out=0, begin_with_bos=codec.bos_id is not None)
    write_shards(root / "text", codec, rules, root / "shards", wanted=())
    write_spans(root / "shards", "0" * 64, root / "spans")
    return root / "shards"


@pytest.fixture(scope="module")
def spans(shards: Path) -> Spans:
    return Spans(shards.parent / "spans", shards, "0" * 64)


def read(shards: Path, hit: Hit, spans: Spans) -> list[int]:
    table = pq.read_table(shards / hit.source / "train/documents.parquet", partitioning=None)
    row = table["id"].to_pylist().index(hit.document)
    stream = Stream(shards, spans.about.sources[hit.source].train, spans.about.dtype)
    return stream.read(table["start"][row].as_py() + hit.start, hit.length).tolist()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_stretch_of_a_document_is_found_in_it(shards: Path, spans: Spans, codec: Codec, data: st.DataObject):
    source = data.draw(st.sampled_from(sorted(TEXTS)))
    whole = data.draw(st.sampled_from([text for text in TEXTS[source] if len(codec.encode([text])[0]) > 2 * SHORTEST]))
    begin = data.draw(st.integers(0, len(whole) // 2))
    text = whole[begin : data.draw(st.integers(begin + 1, len(whole)))]
    if len(codec.encode([text])[0]) - 1 - (codec.bos_id is not None) < SHORTEST + 8:
        return
    hits = spans.find(text, codec)
    assert all(text in codec.decode(read(shards, hit, spans)) for hit in hits)
    assert [hit for hit in hits if hit.source == source]
    # No id could be left out at either end.
    for hit in hits:
        assert text not in codec.decode(read(shards, replace(hit, length=hit.length - 1), spans))
        assert text not in codec.decode(read(shards, replace(hit, start=hit.start + 1, length=hit.length - 1), spans))


def test_every_document_that_holds_a_span_is_named(spans: Spans, codec: Codec):
    assert [hit.source for hit in spans.find(SHARED, codec)] == ["a", "b/c"]


def test_a_text_that_no_document_holds_is_not_found(spans: Spans, codec: Codec):
    assert spans.find(SHARED[::-1] * 2, codec) == []
    assert spans.find(SHARED.replace("two sources", "ten sources"), codec) == []


def test_a_span_that_is_too_short_is_refused(spans: Spans, codec: Codec):
    with pytest.raises(DataError, match="ids is too short to look for"):
        spans.find("short", codec)


def test_the_index_takes_two_thirds_of_a_byte_an_id(shards: Path, spans: Spans):
    ids = sum(spans.header.sources.values())
    size = (shards.parent / "spans/spans.bin").stat().st_size
    assert size <= 16 * (ids / 25 + 1)
    assert np.all(np.diff(spans.rows["hash"].astype(object)) >= 0)


def test_a_span_has_the_places_of_its_ids_alone():
    at = [{"start": start, "length": 10, "step": start} for start in (0, 10, 20, 30)]
    leaf = {"copies": [{"source": "a", "seen": at}, {"source": "b", "seen": at}]}
    hit = Hit(source="a", document="0" * 64, start=19, length=2)
    assert [place["step"] for place in places_of(hit, leaf)] == [10, 20]


def cut(folder: Path) -> None:
    files.write_bytes(folder / "spans.bin", (folder / "spans.bin").read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "digest", "kind", "what"),
    [
        (lambda folder: (folder / "spans.json").unlink(), "0", StateError, "there is no index of spans"),
        (lambda folder: None, "1", StateError, "the index of spans is of other shards"),
        (cut, "0", IntegrityError, r"spans.bin: \d+ bytes, not \d+"),
    ],
)
def test_an_index_of_spans_that_does_not_fit_is_refused(
    shards: Path, tmp_path: Path, damage: Callable[[Path], None], digest: str, kind: type[Exception], what: str
):
    files.link_tree(shards.parent / "spans", tmp_path / "spans")
    damage(tmp_path / "spans")
    with pytest.raises(kind, match=what):
        Spans(tmp_path / "spans", shards, digest * 64)
