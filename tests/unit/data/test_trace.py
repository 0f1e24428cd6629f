"""Any token leads back to its document."""

import itertools
from pathlib import Path

import pyarrow.parquet as pq

from tests.unit.data.conftest import Maker, sentences
from yulan.data.pack import Pack, write_pack
from yulan.data.shard import Stream, document_starts
from yulan.data.spans import cut_segments, plan_spans
from yulan.data.trace import count_cut, documents_at
from yulan.mix import Mix, Part


def test_every_token_of_a_window_leads_back_to_its_document(make_shards: Maker, tmp_path: Path):
    folder, shards = make_shards({"a": sentences(1, 30), "b/c": sentences(2, 30)}, capacity=50)
    mix = Mix(total=2, sources={name: Part(weight=1, repeats=2) for name in shards.sources}, intent=None, files=None)
    spans = plan_spans(mix, 32 * 250, shards, {})
    write_pack(tmp_path / "mix", context=32, spans=spans, segments=cut_segments(spans, shards), shards=shards)
    pack = Pack.open(tmp_path / "mix", folder)
    whole = {}
    for name in shards.sources:
        split = shards.sources[name].train
        tokens = Stream(folder, split, shards.dtype).read(0, split.tokens)
        for row in pq.read_table(folder / name / "train/documents.parquet").to_pylist():
            whole[name, row["id"]] = tokens[row["start"] : row["start"] + row["length"]].tolist()
    for row in range(pack.windows):
        window = pack.window(row)
        found = [
            whole[each.source, each.document][each.start : each.start + each.length] for each in documents_at(pack, folder, row)
        ]
        assert list(itertools.chain.from_iterable(found)) == window.tokens[: window.length].tolist()


def test_cut_documents_are_counted_once(make_shards: Maker):
    folder, shards = make_shards({"a": ["x" * 9, "y" * 9, "z" * 9]})  # ends at 10, 20, 30
    mix = Mix(total=1, sources={"a": Part(weight=1, repeats=0)}, intent=None, files=None)

    def cut(context: int, budget: int) -> int:
        spans = plan_spans(mix, budget, shards, {})
        return count_cut(spans, {"a": document_starts(folder, "a")}, {"a": 30}, context)

    assert [cut(10, 30), cut(5, 30), cut(3, 30), cut(5, 25), cut(15, 30)] == [0, 3, 3, 3, 1]
