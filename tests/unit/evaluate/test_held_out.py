import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from yulan import digest
from yulan.data.shard import Shards, write_shards
from yulan.data.tokenizer import Codec
from yulan.errors import DataError
from yulan.evaluate.held_out import Losses, by_name, by_position, byte_lengths, measure, read_held_out, score
from yulan.evaluate.runner import Runner
from yulan.recipe import corpus


def losses(nats: list[float], sizes: list[int]) -> Losses:
    return Losses(after=np.array(nats), before=np.array(nats) * 2, bytes=np.array(sizes))


@pytest.fixture
def shards(tmp_path: Path, codec: Codec) -> tuple[Path, Shards, list[str]]:
    """A source whose every document is held out, and the texts in order of their ids; another source has none."""
    texts = sorted((f"{n} " + "数据 word " * (n % 7) for n in range(20)), key=digest.of_text)
    (tmp_path / "text" / "en" / "wiki").mkdir(parents=True)
    table = pa.table({"id": [digest.of_text(text) for text in texts], "text": texts, "source": ["en/wiki"] * len(texts)})
    pq.write_table(table, tmp_path / "text" / "en" / "wiki" / "00000.parquet")
    (tmp_path / "text" / "code").mkdir()
    pq.write_table(table.slice(0, 0), tmp_path / "text" / "code" / "00000.parquet")
    settings = corpus.Shards(tokens=100, held_out=1000, begin_with_bos=False)
    return tmp_path / "shards", write_shards(tmp_path / "text", codec, settings, tmp_path / "shards", wanted=()), texts


def test_a_byte_of_a_uniform_model_costs_the_logarithm_of_the_vocabulary(
    runner: Callable[..., Runner], codec: Codec, documents: list[np.ndarray]
):
    found = score(measure(runner(None), runner(None), documents, byte_lengths(codec.backend)))
    assert found is not None
    tokens = sum(len(document) - 1 for document in documents)
    # One byte a token but for the end, which has none.
    assert (found.tokens, found.bytes, found.documents) == (tokens, tokens - len(documents), len(documents))
    assert found.bits_per_byte == pytest.approx(math.log2(261) * tokens / found.bytes, rel=1e-6)
    assert found.before == found.bits_per_byte


def test_bits_per_byte_equals_a_hand_computation(runner: Callable[..., Runner], codec: Codec, documents: list[np.ndarray]):
    after, before = runner(1), runner(2)
    found = score(measure(after, before, documents, byte_lengths(codec.backend)))
    assert found is not None
    for each, told in ((after, found.bits_per_byte), (before, found.before)):
        bits = 0.0
        for ids in documents:
            tokens, length = torch.from_numpy(ids[:-1]), len(ids) - 1
            edges = torch.tensor([0, length], dtype=torch.int32)
            hidden = each.decoder(tokens, torch.arange(length), edges, each.rope_theta, "sdpa")
            likely = each.decoder.logits(hidden).double().log_softmax(-1)
            bits -= sum(float(likely[at, ids[at + 1]]) for at in range(length)) / math.log(2)
        assert told == pytest.approx(bits / sum(len(ids) - 2 for ids in documents), rel=1e-5)
    assert found.before != found.bits_per_byte


def test_a_token_counts_the_bytes_that_it_stands_for(codec: Codec):
    sizes = byte_lengths(codec.backend)
    for text in ("plain", "数据 mixed 🙂\n", "</s> in text"):
        ids = codec.encode([text])[0]
        assert sizes[ids].sum() == len(text.encode())
        assert sizes[ids[-1]] == 0


def test_documents_are_taken_whole_in_order_of_their_ids(shards: tuple[Path, Shards, list[str]], codec: Codec):
    folder, made, texts = shards
    lengths = [len(text.encode()) + 1 for text in texts]
    everything = read_held_out(folder, made, "en/wiki", tokens=10**6, context=1000)
    assert [codec.decode(ids.tolist()) for ids in everything] == texts
    some = read_held_out(folder, made, "en/wiki", tokens=sum(lengths[:3]) + 1, context=1000)
    assert [len(ids) for ids in some] == lengths[:3]


def test_a_long_document_is_cut_after_as_many_targets_as_the_context_holds(shards: tuple[Path, Shards, list[str]]):
    folder, made, texts = shards
    found = read_held_out(folder, made, "en/wiki", tokens=10**6, context=10)
    assert [len(ids) for ids in found] == [min(len(text.encode()) + 1, 11) for text in texts]
    assert max(map(len, found)) == 11
    # The first one is taken even where it alone is more than asked for.
    assert [len(ids) for ids in read_held_out(folder, made, "en/wiki", tokens=2, context=10)] == [2]


def test_a_source_without_held_out_documents_has_no_score(
    shards: tuple[Path, Shards, list[str]], runner: Callable[..., Runner], codec: Codec
):
    folder, made, _ = shards
    assert read_held_out(folder, made, "code", tokens=100, context=10) == []
    assert measure(runner(1), runner(1), [], byte_lengths(codec.backend)) == []
    assert by_name({"code": [], "en": [losses([1.0], [0])]}) == {}


def test_a_document_of_one_token_has_nothing_to_predict(runner: Callable[..., Runner], codec: Codec):
    assert measure(runner(1), runner(1), [np.array([codec.eos_id])], byte_lengths(codec.backend)) == []


def test_parts_of_the_context_are_scored_on_the_documents_that_fill_it():
    full, short = losses([1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0], [1, 2, 1, 1, 1, 1, 1]), losses([100.0], [1])
    found = by_position([full, short, full], 7, 2)
    assert list(found) == ["positions 0-2", "positions 3-6"]
    first, second = found.values()
    assert (first.tokens, first.bytes, first.documents, second.tokens) == (6, 8, 2, 8)
    assert first.bits_per_byte == pytest.approx(6 / math.log(2) / 8)
    assert second.bits_per_byte == pytest.approx(3 / math.log(2))
    assert second.before == pytest.approx(6 / math.log(2))


def test_names_of_positions_sort_as_the_positions_do():
    full = losses([1.0] * 256, [1] * 256)
    assert list(by_position([full], 256, 4)) == sorted(by_position([full], 256, 4))
    assert list(by_position([full], 256, 2)) == ["positions 000-127", "positions 128-255"]
    assert by_position([], 256, 4) == {}


def test_weights_that_diverged_have_no_score(runner: Callable[..., Runner], codec: Codec, documents: list[np.ndarray]):
    broken = runner(1)
    broken.decoder.lm_head_alpha.fill_(math.nan)
    with pytest.raises(DataError, match="the loss of held-out text is not finite"):
        score(measure(broken, runner(1), documents, byte_lengths(codec.backend)))
