from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yulan.errors import RecipeError
from yulan.mix import allocate, load_mix

WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 10**6), min_size=1).filter(
    lambda weights: any(weights.values())
)


def test_every_token_of_the_budget_is_given_out():
    assert allocate({"web": 1, "code": 1, "math": 1}, budget=100) == {"code": 34, "math": 33, "web": 33}


@given(WEIGHTS, st.integers(0, 10**13))
def test_parts_sum_to_the_budget_and_are_off_by_less_than_a_token(weights: dict[str, int], budget: int):
    given_out = allocate(weights, budget)
    assert sum(given_out.values()) == budget
    total = sum(weights.values())
    assert all(abs(given_out[name] * total - weights[name] * budget) < total for name in weights)
    assert list(given_out) == sorted(weights)


@given(WEIGHTS, st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_in_which_sources_are_written_changes_nothing(weights, budget, random):
    names = list(weights)
    random.shuffle(names)
    assert allocate({name: weights[name] for name in names}, budget) == allocate(weights, budget)


def test_weights_that_do_not_sum_to_their_total_are_refused(tmp_path: Path):
    path = tmp_path / "phase-01.yaml"
    path.write_text("total: 100\nsources:\n  en/wiki: {weight: 60, repeats: 0}\n  code/x: {weight: 41, repeats: 0}\n")
    with pytest.raises(RecipeError, match=r"phase-01\.yaml: \$\.total: the weights sum to 101, not to 100"):
        load_mix(path)


def test_a_mix_gives_its_quotas(tmp_path: Path):
    path = tmp_path / "mix.yaml"
    path.write_text("total: 10\nsources:\n  b: {weight: 6, repeats: 0}\n  a: {weight: 4, repeats: 1}\n")
    assert load_mix(path).quotas(1001) == {"a": 400, "b": 601}
