"""Going on with one's own text and phase: no clone, a law for each schedule, and a record of what was read."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.train.conftest import profile, small_recipe
from tests.unit.train.states import PHASE, long_recipe, texts, write_lines, write_states
from yulan import files, manifest
from yulan.data.own.write import Given
from yulan.data.pack import read_header
from yulan.errors import DataError, IntegrityError, RecipeError, StateError
from yulan.layout import MANIFEST
from yulan.recipe import Recipe, read_recipe
from yulan.schema import load_json
from yulan.train.checkpoint.state import State, read_state
from yulan.train.onward import Brought, continue_with, load_phase
from yulan.train.onward.phase import extend
from yulan.train.onward.start import find_start, find_tokenizer
from yulan.train.phase import Outcome
from yulan.train.schedule import learning_rate

RECIPE = small_recipe()
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_states(tmp_path_factory.mktemp("release") / "states", RECIPE, "phase-02")


@pytest.fixture
def state(states: Path) -> State:
    return read_state(states / "checkpoint")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the phase file with some keys changed."""

    def made(**changed: object) -> Path:
        return files.write_text(tmp_path / "phase.yaml", yaml.safe_dump(PHASE | changed))

    return made


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Given]:
    return make_data(tmp_path)


def make_data(folder: Path) -> dict[str, Given]:
    one, other = write_lines(folder / "notes.jsonl", texts(40)), write_lines(folder / "wiki.jsonl", texts(40, 3))
    return {"notes": Given(path=one, column="text"), "web/wiki": Given(path=other, column="text")}


def go_on(folder: Path, into: Path, path: Path, data: dict[str, Given], processes: int = 1, **changed: Any) -> Outcome:
    brought = Brought(file=load_phase(path), path=path, data=data, licences={"notes": "CC0-1.0"}, tokenizer=None)
    brought = replace(brought, **{key: changed.pop(key) for key in ("licences", "tokenizer") if key in changed})
    told = {"steps": None, "fresh_optimizer": False, "say": lambda line: None, "look": lambda: None} | changed
    return continue_with(folder, into, brought, profile(processes), **told)


def rates(recipe: Recipe, phase: str) -> list[float]:
    begin, warm = recipe.start(phase), recipe.start(recipe.warm(phase))
    steps = range(begin + 1, begin + recipe.phase(phase).steps + 1)
    return [learning_rate(step, recipe.schedule, recipe.anneal(phase), warm) for step in steps]


@pytest.fixture(scope="module")
def finished(states: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first phase on own text left behind, where an earlier try was killed while it tokenised."""
    folder = tmp_path_factory.mktemp("finished")
    for name in ("lock", "texts.partial/notes/00007.parquet", "shards/data/notes/train/tokens-00009.bin"):
        files.write_text(folder / "out" / name, "")
    path = files.write_text(folder / "phase.yaml", yaml.safe_dump(PHASE))
    go_on(states, folder / "out", path, make_data(folder))
    return folder / "out"


@pytest.mark.slow
def test_own_text_is_trained_on_and_the_record_says_which_and_under_what_licence(states: Path, finished: Path):
    told, state = load_json(finished / "continued.json"), read_state(finished / "checkpoints" / "step-000100")
    assert (state.recipe, state.cursor.phase, state.lr, state.adam_step) == ("nano-mine", "mine", 0.0, 100)
    assert told["begun_from"] == manifest.read(states / "checkpoint" / MANIFEST).digest
    assert told["mix"] == manifest.read(finished / "mix" / MANIFEST).digest
    parent = {"model": RECIPE.release.repo, "relation": "finetune", "revision": "phase-02"}
    assert told["base"] == parent | {"digest": manifest.read(states / MANIFEST).digest}
    assert {name: source["licence"] for name, source in told["sources"].items()} == {"notes": "CC0-1.0", "web/wiki": "unknown"}
    assert {name: source["tokens"] for name, source in told["sources"].items()} == {"notes": 768, "web/wiki": 256}
    assert not (finished / "texts.partial").exists()
    assert not (finished / "shards" / "data" / "notes" / "train" / "tokens-00009.bin").exists()
    listed = manifest.read(states / MANIFEST)
    assert manifest.differences(states, listed, but=frozenset({MANIFEST})) == []
    train = manifest.read(finished / "lineage" / "train" / "mine.json")
    assert train.inputs["checkpoint"] == told["begun_from"]
    assert not [row for row in manifest.differences(finished, train) if not row.startswith("extra")]


@pytest.mark.slow
def test_the_same_command_again_trains_nothing_and_after_more_steps_goes_on(
    states: Path, write: Write, data: dict[str, Given], tmp_path: Path
):
    path, out = write(), tmp_path / "out"
    first = go_on(states, out, path, data, steps=2)
    tokens = (out / "shards" / "data" / "notes" / "train" / "tokens-00000.bin").stat().st_mtime_ns
    assert first.state.global_step == 98
    assert go_on(states, out, path, data, steps=2).state == first.state
    assert go_on(states, out, path, data, processes=2).state.global_step == 100
    assert load_json(out / "continued.json")["trajectory"] == "CLOSE"
    assert (out / "shards" / "data" / "notes" / "train" / "tokens-00000.bin").stat().st_mtime_ns == tokens
    with pytest.raises(StateError, match=r"holds a run of another phase; changed: decay, rope_theta"):
        go_on(states, out, write(decay=2, rope_theta=9.0), data)
    write_lines(data["notes"].path, texts(41))
    with pytest.raises(StateError, match=r"holds a run on other data; changed: text/notes"):
        go_on(states, out, write(), data)


@pytest.mark.slow
def test_what_was_made_is_gone_on_from_in_turn_and_takes_up_its_text_where_it_stopped(
    finished: Path, write: Write, data: dict[str, Given], tmp_path: Path
):
    second = tmp_path / "second"
    again = write(name="again", after="mine", regime="rewarm", peak=0.004, warmup=2, decay=None)
    state = go_on(finished, second, again, data, fresh_optimizer=True).state
    assert (state.recipe, state.global_step, state.lr) == ("nano-mine-again", 104, 0.004)
    assert (state.fresh_optimizer, state.adam_step) == (True, 4)
    spans = read_header(second / "mix" / "data").sources
    assert (spans["notes"].start, spans["web/wiki"].start) == (768, 256)
    assert load_json(second / "continued.json")["fresh_optimizer"] is True
    assert load_json(second / "continued.json")["base"] == load_json(finished / "continued.json")["base"]
    lineage = {path.relative_to(second / "lineage").as_posix() for path in (second / "lineage").rglob("*.json")}
    assert {"checkpoint/phase-02.json", "train/mine.json", "checkpoint/mine.json", "train/again.json"} <= lineage
    chain = [manifest.read(second / "lineage" / f"{name}.json") for name in ("checkpoint/mine", "train/again", "train/mine")]
    assert chain[1].inputs["checkpoint"] == chain[0].digest
    assert chain[1].summary["fresh_optimizer"] is True
    assert chain[2].summary["fresh_optimizer"] is False


def test_without_optimizer_files_it_is_refused_before_anything_is_written(write: Write, data: dict[str, Given], tmp_path: Path):
    bare = write_states(tmp_path / "bare", RECIPE, "phase-02", moments=False)
    with pytest.raises(StateError, match="holds no optimizer states"):
        go_on(bare, tmp_path / "out", write(), data)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_anything_else_is_left_alone(states: Path, write: Write, data: dict[str, Given], tmp_path: Path):
    with pytest.raises(StateError, match="holds files of others"):
        go_on(states, tmp_path, write(), data)
    with pytest.raises(StateError, match="is or lies in the folder that is gone on from"):
        go_on(states, states / "mine", write(), data)


def test_a_stable_phase_stays_at_the_rate(state: State, write: Write):
    file = load_phase(write(regime="stable", decay=None))
    assert rates(extend(RECIPE, state, file, Path("p")), "mine") == [0.02] * 4


def test_an_anneal_stays_and_then_falls_to_zero_with_the_last_step(state: State, write: Write):
    found = rates(extend(RECIPE, state, load_phase(write()), Path("p")), "mine")
    assert (found[0], found[-1]) == (0.02, 0.0)
    assert found[1] == pytest.approx(0.02 * (1 - (1 / 3) ** 0.5))


def test_a_re_warm_climbs_from_zero_to_its_own_peak_also_after_an_anneal(write: Write, tmp_path: Path):
    folder = write_states(tmp_path / "final", RECIPE, "phase-03", lr=0.0)
    start = find_start(folder)
    stay = load_phase(write(after="phase-03", regime="stable", peak=0.004, decay=None))
    with pytest.raises(RecipeError, match=r"phase: \$\.regime: an annealed checkpoint can only be warmed up again"):
        extend(start.recipe, start.state, stay, Path("phase"))
    warm = load_phase(write(after="phase-03", regime="rewarm", peak=0.004, warmup=2, decay=None))
    recipe = extend(start.recipe, start.state, warm, Path("phase"))
    assert rates(recipe, "mine") == [0.002, 0.004, 0.004, 0.004]
    assert recipe.anneal("mine") is None
    assert rates(recipe, "phase-01")[0] == 0.002


def test_the_path_is_as_long_as_it_was_walked(state: State, write: Write):
    early = replace(state, global_step=60, phase_step=12)
    recipe = extend(RECIPE, early, load_phase(write()), Path("p"))
    assert (recipe.start("mine"), recipe.phases["phase-02"].steps) == (60, 12)
    assert recipe.anneal("mine").start == 61
    with pytest.raises(RecipeError, match="the checkpoint stands at step 48, before its recipe begins phase-02"):
        extend(RECIPE, replace(state, global_step=48), load_phase(write()), Path("p"))


def test_the_recipe_that_is_written_reads_back_the_same(state: State, write: Write, tmp_path: Path):
    from yulan.train.onward.phase import write_recipe

    file = load_phase(write())
    recipe = extend(RECIPE, state, file, Path("p"))
    write_recipe(recipe, file, tmp_path)
    assert read_recipe(tmp_path / "recipes" / "nano-mine" / "recipe.yaml") == recipe
    assert load_phase(tmp_path / "phase.yaml") == file


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"peak": 0.01}, r"\$\.peak: the learning rate would jump from 0\.02 to 0\.01"),
        ({"peak": float("nan")}, "not plain YAML: .nan is not a finite number"),
        ({"peak": float("inf")}, "not plain YAML: .inf is not a finite number"),
        ({"peak": -0.01}, r"\$\.peak"),
        ({"after": "phase-01"}, r"\$\.after: the checkpoint ends phase-02, and the phase comes after phase-01"),
        ({"name": "phase-01"}, r"\$\.name: the path has a phase phase-01 already"),
        ({"name": "init"}, r"\$\.name: the path has a phase init already"),
        ({"warmup": 2}, r"\$\.warmup: warmup belongs to the regime rewarm and to no other"),
        ({"decay": None}, r"\$\.decay: decay belongs to the regime anneal and to no other"),
        ({"decay": 5}, r"\$\.decay: a decay of 5 steps is longer than the phase \(4 steps\)"),
        ({"grid": 3}, r"\$\.grid: a batch of 8 windows does not divide into 3 micro-batches"),
        ({"tokens": 8}, r"\$\.tokens: 8 tokens are less than one step of 256"),
        ({"regime": "rewarm", "warmup": 9, "decay": None}, r"\$\.warmup: a warm-up of 9 steps is longer than mine \(4 steps\)"),
        ({"regime": "cosine"}, r"\$\.regime: 'cosine' is not one of the known values"),
        ({"peek": 1}, r"unknown key 'peek'\. Did you mean 'peak'\?"),
        ({"name": "a; rm -rf b"}, r"\$\.name"),
        (
            {"mix": {"total": 5, "sources": {"notes": {"weight": 4, "repeats": 0}}}},
            r"\$\.mix\.total: the weights sum to 4, not to 5",
        ),
    ],
)
def test_what_is_wrong_in_a_phase_file_is_pointed_at(changed: dict[str, Any], words: str, state: State, write: Write):
    path = write(**changed)
    with pytest.raises(RecipeError, match=words) as raised:
        extend(RECIPE, state, load_phase(path), path)
    assert str(raised.value.where).startswith(str(path))


def test_sources_and_data_are_the_same_names(states: Path, write: Write, data: dict[str, Given], tmp_path: Path):
    with pytest.raises(RecipeError, match=r"no data for the source 'web/wiki'\. Give it: --data web/wiki=PATH"):
        go_on(states, tmp_path / "out", write(), {"notes": data["notes"]})
    with pytest.raises(RecipeError, match=r"--data: the mix has no source 'note'\. Did you mean 'notes'\?"):
        go_on(states, tmp_path / "out", write(), data | {"note": data["notes"]})
    with pytest.raises(RecipeError, match=r"--licence: the mix has no source 'web'"):
        go_on(states, tmp_path / "out", write(), data, licences={"web": "MIT"})


def test_text_that_does_not_fill_its_quota_is_refused(states: Path, write: Write, data: dict[str, Given], tmp_path: Path):
    with pytest.raises(DataError, match="1 source cannot fill the quota"):
        go_on(states, tmp_path / "out", write(tokens=24 * 256), data)


def test_a_folder_without_recipe_or_tokenizer_says_what_would_do(states: Path, write: Write, data: dict, tmp_path: Path):
    shutil.copytree(states / "checkpoint", tmp_path / "lone" / "checkpoint")
    with pytest.raises(StateError, match=r"holds no recipe nano\. Name a folder with recipes/nano/recipe\.yaml"):
        find_start(tmp_path / "lone")
    shutil.copytree(states / "recipes", tmp_path / "lone" / "recipes")
    start = find_start(tmp_path / "lone")
    with pytest.raises(StateError, match=r"holds no tokenizer\.json.*--tokenizer"):
        find_tokenizer(start, None)
    assert find_tokenizer(start, states / "tokenizer") == states / "tokenizer"
    assert find_start(tmp_path / "lone" / "checkpoint").home == tmp_path / "lone"


def test_a_changed_recipe_or_tokenizer_beside_the_checkpoint_is_refused(states: Path, tmp_path: Path):
    shutil.copytree(states, tmp_path / "states")
    start = find_start(tmp_path / "states")
    for name in ("tokenizer/tokenizer.json", "recipes/nano/recipe.yaml"):
        path = tmp_path / "states" / name
        path.write_text(path.read_text() + "\n")
    with pytest.raises(IntegrityError, match=r"tokenizer/tokenizer\.json is not as the manifest lists it"):
        find_tokenizer(start, None)
    with pytest.raises(IntegrityError, match=r"recipe\.yaml is not as the manifest lists it"):
        find_start(tmp_path / "states")


def test_a_tokenizer_of_another_size_is_refused(states: Path, write: Write, data: dict[str, Given], tmp_path: Path):
    from yulan.data import tokenizer

    settings = replace(RECIPE.data.tokenizer, vocab_size=280)
    tokenizer.save(tokenizer.train(iter(texts(200)), settings, begin_with_bos=False), tmp_path / "other", settings)
    with pytest.raises(StateError, match="a tokenizer of 280 entries, and the checkpoint learned one of 300"):
        go_on(states, tmp_path / "out", write(), data, tokenizer=tmp_path / "other")


def test_a_long_path_is_gone_on_from_anywhere_along_it(write: Write, tmp_path: Path):
    folder = write_states(tmp_path / "states", long_recipe(27), "phase-20")
    start = find_start(folder)
    recipe = extend(start.recipe, start.state, load_phase(write(after="phase-20")), Path("p"))
    assert len(recipe.phases) == 21
    assert recipe.start("mine") == start.state.global_step == 40
