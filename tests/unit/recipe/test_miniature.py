"""nano-27 is what is derived from the real mixes, and its sources hold enough text."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from yulan.errors import RecipeError
from yulan.layout import find_root
from yulan.recipe import Book, load_recipe
from yulan.recipe.miniature import ANY, read_stand_ins, shrink

ROOT = find_root(Path(__file__).parent)
RULES = ROOT / "recipes/nano-27/stand-ins.csv"


@pytest.fixture(scope="module")
def real() -> Book:
    return load_recipe(ROOT, "yulan-mini")


@pytest.fixture(scope="module")
def small() -> Book:
    return load_recipe(ROOT, "nano-27")


def test_the_mixes_in_the_repository_are_the_derived_ones(real: Book, small: Book):
    made = shrink(real, small.recipe, read_stand_ins(RULES), 3)
    assert {phase: small.mix(phase) for phase in small.recipe.phases} == made


def test_each_phase_has_the_real_phases_share_of_code(real: Book, small: Book):
    for phase in small.recipe.phases:
        large, little = real.mix(phase), small.mix(phase)
        wanted = sum(p.weight for name, p in large.sources.items() if real.sources.sources[name].family == "code") / large.total
        # Code whose family is another, like solutions of reasoning, stays in that family.
        got = sum(part.weight for name, part in little.sources.items() if name.startswith("code/")) / little.total
        assert got == pytest.approx(wanted, abs=1e-5)


def test_the_schedule_and_the_fork_keep_the_real_proportions(real: Book, small: Book):
    large, little = real.recipe, small.recipe
    assert list(large.phases) == list(little.phases)
    assert [(p.after, p.regime) for p in large.phases.values()] == [(p.after, p.regime) for p in little.phases.values()]
    ends = {name: (large.start(name) / 262_654, little.start(name) / 1188) for name in large.path("phase-27")}
    assert all(abs(one - other) < 0.002 for one, other in ends.values())
    one, other = large.anneal("phase-27"), little.anneal("phase-27")
    assert one is not None
    assert other is not None
    assert one.length / 262_654 == pytest.approx(other.length / 1188, abs=1 / 1188)
    assert large.phases["phase-27"].context / large.phases["phase-01"].context == 7
    assert little.phases["phase-27"].context / little.phases["phase-01"].context == 7
    assert {p.step_tokens for p in little.phases.values()} == {3584}


def test_no_source_runs_dry_along_a_path(small: Book):
    # The same packages and filters as nano's, whose shards are counted in its manifest.
    told = json.loads((ROOT / "artifacts/nano/shards/manifest.json").read_text())["summary"]
    counts = {name: each["train"]["tokens"] for name, each in told.items() if isinstance(each, dict) and "train" in each}
    for leaf in small.recipe.leaves():
        used = Counter[str]()
        for phase in small.recipe.path(leaf):
            used.update(small.mix(phase).quotas(small.recipe.phase(phase).tokens))
        assert used.keys() <= counts.keys() | {path for name in counts for path in small.recipe.data.score.paths(name)}
        for wanted, there in ((used, counts), (by_root(small, used), by_root(small, counts))):
            assert all(tokens <= 4 * there[name] for name, tokens in wanted.items() if name in there)
            once = [name for name in wanted if name in there and name.startswith(("en/", "zh/", "code/"))]
            assert all(wanted[name] <= there[name] for name in once)


def by_root(book: Book, tokens: Mapping[str, int]) -> Counter[str]:
    """Tokens of the paths of a source together."""
    roots = {path: name for name in book.recipe.data.score.split for path in book.recipe.data.score.paths(name)}
    found = Counter[str]()
    for path, count in tokens.items():
        found[roots.get(path, path)] += count
    return found


def test_a_source_that_nothing_stands_for_is_named(real: Book, small: Book):
    rules = [rule for rule in read_stand_ins(RULES) if rule.family != "maths" and (rule.family, rule.language) != (ANY, ANY)]
    with pytest.raises(RecipeError, match=r"nothing stands for \S+\. Add a rule for its family and language"):
        shrink(real, small.recipe, rules, 3)
