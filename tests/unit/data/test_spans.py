"""Laws of the mix: parts sum to the budget, nothing is used twice on a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yulan.data.shard import ShardFile, Shards, SourceShards, Split
from yulan.data.spans import Span, cut_segments, plan_spans
from yulan.errors import DataError
from yulan.mix import Mix, Part


def index(capacity: int = 100, **tokens: int) -> Shards:
    """An index of sources with that many tokens each, in files of `capacity`."""

    def split(name: str, total: int) -> Split:
        sizes = [min(capacity, total - start) for start in range(0, total, capacity)]
        parts = tuple(ShardFile(path=f"{name}/train/tokens-{n:05d}.bin", tokens=size) for n, size in enumerate(sizes))
        return Split(documents=1, tokens=total, bytes=total, files=parts)

    sources = {name: SourceShards(train=split(name, total), held=split(name, 0)) for name, total in tokens.items()}
    return Shards(format=1, dtype="uint16", vocab_size=300, eos_id=2, bos_id=None, sources=sources)


def mix(repeats: int = 0, **weights: int) -> Mix:
    parts = {name: Part(weight=weight, repeats=repeats) for name, weight in weights.items()}
    return Mix(total=sum(weights.values()), sources=parts, intent=None, files=None)


def used(spans: dict[str, Span], shards: Shards) -> list[tuple[str, int]]:
    """Every token of a phase as (file, place)."""
    cut = cut_segments(spans, shards)
    rows = zip(cut.shard.tolist(), cut.start.tolist(), cut.length.tolist(), strict=True)
    return [(cut.paths[shard], start + i) for shard, start, length in rows for i in range(length)]


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3).filter(any), st.integers(1, 1000))
def test_every_token_of_the_budget_is_given_out(weights: list[int], budget: int):
    shards = index(a=1000, b=1000, c=1000)
    spans = plan_spans(mix(**dict(zip("abc", weights, strict=True))), budget, shards, {})
    assert sum(span.quota for span in spans.values()) == budget
    assert len(used(spans, shards)) == budget


def test_nothing_is_used_twice_along_a_path():
    shards = index(a=900, b=600, c=300)
    taken: dict[str, Span] = {}
    seen: list[tuple[str, int]] = []
    for each in (mix(a=2, b=1), mix(a=1), mix(b=1, c=1), mix(a=1, b=1, c=1)):
        taken = plan_spans(each, 300, shards, taken)
        seen += used(taken, shards)
    assert len(seen) == len(set(seen)) == 1200


def test_a_source_left_out_by_a_phase_goes_on_where_it_stopped():
    shards = index(a=900, b=900)
    first = plan_spans(mix(a=1, b=1), 200, shards, {})
    second = plan_spans(mix(b=1), 200, shards, first)
    third = plan_spans(mix(a=1), 200, shards, second)
    assert second["a"] == Span(quota=0, start=100, repeated=0)
    assert third["a"] == Span(quota=200, start=100, repeated=0)


def test_forks_start_at_the_same_place():
    shards = index(a=900, b=900)
    parent = plan_spans(mix(a=1, b=1), 200, shards, {})
    long, short = (plan_spans(each, 300, shards, parent) for each in (mix(a=2, b=1), mix(a=1, b=2)))
    assert (
        {name: span.start for name, span in long.items()}
        == {name: span.start for name, span in short.items()}
        == {"a": 100, "b": 100}
    )


def test_a_source_that_is_too_short_stops_the_build_with_all_numbers():
    shards = index(a=1000, b=1000)
    parent = plan_spans(mix(a=1, b=1), 1400, shards, {})
    with pytest.raises(DataError) as caught:
        plan_spans(mix(a=1, b=1), 1400, shards, parent)
    assert str(caught.value) == (
        "Error: 2 sources cannot fill the quota. Lower the weight, allow repeats in the mix, or add text\n"
        "  a: 700 tokens wanted, 1,000 there, 700 taken by earlier phases\n"
        "  b: 700 tokens wanted, 1,000 there, 700 taken by earlier phases"
    )


def test_repeats_that_do_not_suffice_are_told():
    with pytest.raises(DataError, match="a: 301 tokens wanted, 100 x 3 there, 0 taken by earlier phases"):
        plan_spans(mix(a=1, repeats=2), 301, index(a=100), {})


def test_repeats_wrap_and_are_counted():
    shards = index(a=250)
    first = plan_spans(mix(a=1, repeats=2), 200, shards, {})
    second = plan_spans(mix(a=1, repeats=2), 200, shards, first)
    third = plan_spans(mix(a=1, repeats=2), 300, shards, second)
    assert [each["a"].repeated for each in (first, second, third)] == [0, 150, 300]
    assert used(second, shards)[49:51] == [("a/train/tokens-00002.bin", 49), ("a/train/tokens-00000.bin", 0)]
    assert used(second, shards)[50:] == used(first, shards)[:150]
    assert len(set(used(third, shards))) == 250


def test_a_source_without_weight_takes_nothing():
    shards = index(a=100)
    spans = plan_spans(mix(a=1, gone=0), 100, shards, {})
    assert spans["gone"] == Span(quota=0, start=0, repeated=0)
    assert len(used(spans, shards)) == 100
