"""Laws of the pack index."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.unit.data.conftest import Maker, sentences
from yulan import digest, files
from yulan.data.pack import PIECE, Header, Pack, write_pack
from yulan.data.shard import Shards, Stream, write_shards
from yulan.data.spans import Segments, Span, cut_segments, plan_spans
from yulan.errors import DataError, IntegrityError
from yulan.mix import Mix, Part
from yulan.recipe import corpus

TEXTS = {"a": sentences(1, 30), "b/c": sentences(2, 30)}
CONTEXT = 32


def build(folder: Path, shards: Shards, budget: int, taken: dict[str, Span] | None = None, context: int = CONTEXT) -> Header:
    mix = Mix(
        total=3, sources={name: Part(weight=n, repeats=3) for n, name in enumerate(shards.sources, 1)}, intent=None, files=None
    )
    spans = plan_spans(mix, budget, shards, taken or {})
    return write_pack(folder, context=context, spans=spans, segments=cut_segments(spans, shards), shards=shards)


def stream_of(header: Header, folder: Path, shards: Shards) -> list[int]:
    """The phase's tokens, put together without the pack."""
    found: list[int] = []
    for name, span in sorted(header.sources.items()):
        split = shards.sources[name].train
        whole = Stream(folder, split, shards.dtype).read(0, split.tokens)
        found += whole[(span.start + np.arange(span.quota)) % split.tokens].tolist()
    return found


@pytest.mark.parametrize("capacity", [50, 10_000])
def test_window_w_is_the_stream_from_w_t_on(make_shards: Maker, tmp_path: Path, capacity: int):
    folder, shards = make_shards(TEXTS, capacity=capacity)
    taken = {"a": Span(quota=17, start=5, repeated=0)}
    header = build(tmp_path / "mix", shards, 100 * CONTEXT, taken)
    pack, stream = Pack.open(tmp_path / "mix", folder), stream_of(header, folder, shards)
    assert (pack.windows, pack.context, len(stream)) == (100, CONTEXT, 100 * CONTEXT)
    for row in range(pack.windows):
        window = pack.window(row)
        there = stream[row * CONTEXT : row * CONTEXT + CONTEXT + 1]
        assert window.tokens[: window.length].tolist() == there
        assert window.length == (CONTEXT if row == 99 else CONTEXT + 1)
        assert window.tokens[window.length :].tolist() == [2] * (CONTEXT + 1 - window.length)


def test_every_token_of_the_budget_is_an_input_once(make_shards: Maker, tmp_path: Path):
    folder, shards = make_shards(TEXTS, capacity=64)
    header = build(tmp_path / "mix", shards, 40 * CONTEXT)
    rows = Pack.open(tmp_path / "mix", folder).rows(np.arange(40))
    assert rows.tokens[:, :-1].ravel().tolist() == stream_of(header, folder, shards)
    assert (header.tokens, header.windows, header.padding) == (40 * CONTEXT, 40, 0)


def test_documents_and_spans_begin_segments_and_file_ends_do_not(make_shards: Maker, tmp_path: Path):
    folder, shards = make_shards({"a": ["x" * 99, "y" * 99], "b": ["z" * 99]}, capacity=30)
    build(tmp_path / "mix", shards, 240, context=120)  # a gives 80 tokens, b 160: it wraps after 100
    pack = Pack.open(tmp_path / "mix", folder)
    assert pack.window(0).starts.tolist() == [0, 80]
    assert pack.window(1).starts.tolist() == [0, 60]
    assert pack.rows(np.array([1, 0])).starts.sum(axis=1).tolist() == [3, 2]  # window 1 ends in padding


def test_rows_come_in_the_order_asked_for(make_shards: Maker, tmp_path: Path):
    folder, shards = make_shards(TEXTS, capacity=64)
    build(tmp_path / "mix", shards, 40 * CONTEXT)
    pack = Pack.open(tmp_path / "mix", folder)
    rows = pack.rows(np.array([39, 3, 3, 0]))
    for place, row in enumerate([39, 3, 3, 0]):
        assert rows.tokens[place].tolist() == pack.window(row).tokens.tolist()
        assert np.flatnonzero(rows.starts[place, :-1]).tolist() == pack.window(row).starts.tolist()


def test_the_tokens_of_a_window_do_not_depend_on_how_shards_are_cut(make_shards: Maker, tmp_path: Path, byte_codec):
    folder, shards = make_shards(TEXTS, capacity=37)
    settings = corpus.Shards(tokens=10_000, held_out=0, begin_with_bos=False)
    other = write_shards(tmp_path / "text", byte_codec, settings, tmp_path / "other", wanted=())
    build(tmp_path / "m1", shards, 40 * CONTEXT)
    build(tmp_path / "m2", other, 40 * CONTEXT)
    one, two = (
        Pack.open(*where).rows(np.arange(40)) for where in ((tmp_path / "m1", folder), (tmp_path / "m2", tmp_path / "other"))
    )
    assert np.array_equal(one.tokens, two.tokens)
    assert np.array_equal(one.starts, two.starts)


def test_golden_bytes_of_a_pack(make_shards: Maker, tmp_path: Path):
    _, shards = make_shards({"a": ["hi", "yo"], "b": ["no", "on"]}, capacity=4)
    build(tmp_path / "mix", shards, 9, context=3)
    assert (tmp_path / "mix/offsets.bin").read_bytes() == b"".join(n.to_bytes(8, "little") for n in (0, 2, 3, 5))
    pieces = [(0, 0, 3), (2, 0, 1), (2, 0, 4), (2, 3, 1), (3, 0, 2)]
    assert (tmp_path / "mix/pieces.bin").read_bytes() == b"".join(struct.pack("<IQI", *piece) for piece in pieces)
    assert digest.of_file(tmp_path / "mix/pack.json") == "75415ebfac9e0a5fcd5cc2b5bcb4602fbde65584502bb0777cc6c52558c925d5"


def test_a_pack_reads_back_as_it_was_written(make_shards: Maker, tmp_path: Path):
    folder, shards = make_shards(TEXTS)
    header = build(tmp_path / "mix", shards, 4 * CONTEXT)
    assert Pack.open(tmp_path / "mix", folder).header == header


def test_a_large_pack_is_written_in_no_time(tmp_path: Path):
    tokens = 4_000_000_000
    segments = Segments(paths=("a/train/tokens-00000.bin",), shard=np.array([0]), start=np.array([5]), length=np.array([tokens]))
    shards = Shards(format=1, dtype="uint16", vocab_size=9, eos_id=2, bos_id=None, sources={})
    header = write_pack(tmp_path, context=4000, spans={}, segments=segments, shards=shards)
    pieces = np.fromfile(tmp_path / "pieces.bin", PIECE)
    assert header.windows == len(pieces) == 1_000_000
    assert pieces[-1].item() == (0, 5 + tokens - 4000, 4000)


def test_a_budget_that_fills_no_whole_windows_is_refused(make_shards: Maker, tmp_path: Path):
    _, shards = make_shards(TEXTS)
    with pytest.raises(DataError, match=r"100 tokens are not whole windows of 32. Give a budget of whole windows"):
        build(tmp_path / "mix", shards, 100)


def damage_offsets(folder: Path) -> None:
    offsets = np.fromfile(folder / "offsets.bin", "<u8")
    offsets[1] = offsets[2]
    files.write_bytes(folder / "offsets.bin", offsets.tobytes())


def damage_piece(field: str, value: int):
    def damage(folder: Path) -> None:
        pieces = np.fromfile(folder / "pieces.bin", PIECE)
        pieces[field][1] = value
        files.write_bytes(folder / "pieces.bin", pieces.tobytes())

    return damage


def cut_short(name: str):
    return lambda folder: files.write_bytes(folder / name, (folder / name).read_bytes()[:-4])


def outside(folder: Path) -> None:
    files.write_text(folder / "pack.json", (folder / "pack.json").read_text().replace('"a/train', '"../a/train'))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (damage_offsets, "its offsets do not rise from 0"),
        (damage_piece("shard", 99), "a piece names a shard that is not listed"),
        (damage_piece("start", 1 << 40), "a piece lies outside its shard"),
        (damage_piece("start", (1 << 64) - 1), "a piece lies outside its shard"),
        (damage_piece("length", 0), "a piece lies outside its shard"),
        (damage_piece("length", 34), "a window is longer than its context"),
        (cut_short("pieces.bin"), r"pieces\.bin: \d+ bytes, not \d+"),
        (cut_short("offsets.bin"), r"offsets\.bin: \d+ bytes, not \d+"),
        (lambda folder: (folder / "pieces.bin").unlink(), "0 bytes, not"),
        (outside, "is not allowed"),
    ],
)
def test_a_damaged_pack_is_refused(make_shards: Maker, tmp_path: Path, damage, what: str):
    folder, shards = make_shards(TEXTS, capacity=10_000)
    build(tmp_path / "mix", shards, 10 * CONTEXT)
    damage(tmp_path / "mix")
    with pytest.raises(IntegrityError, match=what):
        Pack.open(tmp_path / "mix", folder)


def test_a_pack_whose_shards_are_gone_is_refused(make_shards: Maker, tmp_path: Path):
    _, shards = make_shards(TEXTS)
    build(tmp_path / "mix", shards, 10 * CONTEXT)
    with pytest.raises(IntegrityError, match=r"tokens-00000\.bin: no ids"):
        Pack.open(tmp_path / "mix", tmp_path / "elsewhere")
