"""Replay of published stretches: honest ones are equal bit for bit, forged ones are named."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.train.audit_kit import BEGIN, END, EVERY, PHASE, Shop, alone, audited_recipe, copy_until
from tests.unit.train.conftest import profile
from tests.unit.train.forge import AT, FORGED_END, TRAINING, forge_end
from yulan import files
from yulan.cli.replay import DIFFERENT, replay
from yulan.errors import IntegrityError, RecipeError, StateError
from yulan.schema import check, load_json
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import read_state
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import REPLAY
from yulan.train.replay.challenge import challenged, draw_step
from yulan.train.replay.measure import FAR, apart
from yulan.train.replay.run import calibrate
from yulan.train.replay.run import replay as replay_segment
from yulan.train.replay.segment import Segment, before, cut, kept
from yulan.train.replay.verdict import judge, sentence

pytestmark = pytest.mark.slow
FIRST = {"dropped batch": AT + 1, "swapped batches": AT + 1, "another seed": 1}
"""Step of the stretch whose loss gives it away; the others change the second one's."""


@pytest.fixture(scope="module")
def verdicts(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    into = tmp_path_factory.mktemp("audit")
    command = [sys.executable, str(Path(__file__).with_name("audit.py")), str(shop.layout.root), str(into)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = load_json(into / "verdicts.json")
    return found


@pytest.fixture
def typed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(shop.layout.root)
    return lambda *words: CliRunner().invoke(replay, [str(word) for word in words])


def test_an_honest_stretch_is_exact(verdicts: dict[str, Any]):
    found = verdicts["honest"]
    assert (found["verdict"], found["asked"], found["states_compared"]) == ("EXACT", "EXACT", True)
    assert (found["first_step"], found["first_state"], found["first_tensor"]) == (None, None, None)
    assert (found["start"]["step"], found["end"]["step"], found["steps"]) == (BEGIN, END, EVERY)


@pytest.mark.parametrize("control", TRAINING)
def test_a_forged_training_is_different_and_its_first_step_named(verdicts: dict[str, Any], control: str):
    found = verdicts[control]
    assert found["verdict"] == "DIFFERENT"
    step = found["first_step"]
    assert (step["name"], step["step"]) == ("loss", BEGIN + FIRST.get(control, 2))
    assert step["published"] != step["replayed"]
    assert found["first_tensor"]["name"].startswith("weights model.")


def test_a_forged_end_is_different_and_its_tensor_named(verdicts: dict[str, Any]):
    found = verdicts[FORGED_END]
    assert (found["verdict"], found["first_step"], found["first_state"]) == ("DIFFERENT", None, None)
    assert found["first_tensor"]["name"] == "weights model.layers.1.self_attn.q_proj.weight"
    assert found["first_tensor"]["step"] == END


def test_a_stretch_drawn_by_a_nonce_is_replayed_on_two_ranks(typed: Callable[..., Result], shop: Shop, published: Path):
    done = typed(published, "--challenge", "2026-11-24", "--profile", "cpu-2", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    check(found, "replayed", "stdout")
    assert (found["verdict"], found["replayed"]["ranks"]) == ("EXACT", 2)
    told = found["challenge"]
    assert told["chain"] == files.complete_rows(published / REPLAY)[-1]["chain"]
    word = json.dumps({"chain": told["chain"], "nonce": "2026-11-24"}, separators=(",", ":"))
    assert told["draw"] == hashlib.sha256(word.encode()).hexdigest(), "as anyone computes it"
    assert told["step"] == 1 + int(told["draw"], 16) % END
    assert found["start"]["step"] < told["step"] <= found["end"]["step"]
    assert f"nonce {told['nonce']}" in done.stderr
    assert not list(shop.layout.runs(PHASE, "").glob("*")), "the working folder is removed"


def test_a_verdict_is_said_in_words(published: Path, tmp_path: Path):
    run = copy_until(published, tmp_path / "run", EVERY)
    end, honest = (folder / CHECKPOINTS / step_name(EVERY) for folder in (run, published))
    stretch = cut(published / CHECKPOINTS / step_name(EVERY), published / CHECKPOINTS / step_name(BEGIN))
    own = read_state(honest).determinism
    reached = published / CHECKPOINTS / step_name(BEGIN)
    assert sentence(judge(stretch, stretch.rows, reached, own)) == (
        f"EXACT: steps 9 to 16 of {PHASE}: log rows, weights and moments are equal bit for bit"
    )
    forge_end(end, audited_recipe())
    rows = [dict(row) for row in stretch.rows]
    rows[1]["grad_norm"] = "0x1.8p+1"
    said = sentence(judge(stretch, rows, end, own)).splitlines()
    assert said[0] == f"DIFFERENT: steps 9 to 16 of {PHASE}"
    assert said[1].startswith(
        f"  first step that differs: 10, grad_norm: published {stretch.rows[1]['grad_norm']}, replayed 0x1.8p+1"
    )
    assert said[2:] == [
        "  first part of state.json that differs: global_step",
        "  first tensor that differs: weights model.embed_tokens.weight after step 16",
    ]


def test_the_command_tells_different_by_its_exit_code(typed: Callable[..., Result], shop: Shop, published: Path, tmp_path: Path):
    run, finished = (copy_until(published, tmp_path / name, END) for name in ("run", "finished"))
    forge_end(run / CHECKPOINTS / step_name(END), shop.recipe)
    words = ("--from", shop.init, "--profile", "cpu-2", "--into")
    done = typed(run, *words, finished)
    assert done.exit_code == DIFFERENT == 10, done.output
    assert "first tensor that differs: weights model.layers.1.self_attn.q_proj.weight after step 24" in done.stdout
    assert "Note: replayed under ZeRO 1, fp32 and sdpa" in done.stderr
    assert typed(published, *words, finished).exit_code == 0, "a replay that was finished is only judged again"


def test_each_step_is_drawn_as_often_as_any_other():
    drawn = [draw_step("c" * 64, str(nonce), 5, 8).step for nonce in range(4000)]
    assert set(drawn) == {5, 6, 7, 8}
    assert all(900 < drawn.count(step) < 1100 for step in (5, 6, 7, 8))


def test_the_drawn_step_lies_in_the_stretch_between_the_kept_checkpoints_around_it(shop: Shop, published: Path):
    for nonce in map(str, range(12)):
        stretch, told = challenged(published, shop.layout, shop.recipe, nonce, None)
        begin, end = read_state(stretch.start).global_step, read_state(stretch.end).global_step
        assert begin < told.step <= end == begin + EVERY
        short, again = challenged(published, shop.layout, shop.recipe, nonce, 3)
        assert (short.start, short.steps, short.whole, again) == (stretch.start, 3, False, told)


def test_what_someone_names_may_be_a_checkpoint_a_run_or_an_artifact_or_a_states_folder(published: Path, tmp_path: Path):
    last = published / CHECKPOINTS / step_name(END)
    files.link_tree(published / CHECKPOINTS, tmp_path / "artifact" / "data" / CHECKPOINTS)
    files.link_tree(last, tmp_path / "states" / "checkpoint")
    assert kept(last) == (last,)
    assert kept(published)[-1] == last
    assert [each.name for each in kept(tmp_path / "artifact")] == [step_name(step) for step in (8, 16, 24)]
    assert kept(tmp_path / "states") == (tmp_path / "states" / "checkpoint",)
    with pytest.raises(StateError, match="no checkpoint to replay"):
        kept(tmp_path)


def test_a_states_folder_finds_its_log_beside_it_and_its_start_in_the_clone(shop: Shop, published: Path, tmp_path: Path):
    states = tmp_path / "states"
    files.link_tree(published / CHECKPOINTS / step_name(END), states / "checkpoint")
    with pytest.raises(StateError, match=r"no replay\.jsonl lies beside it"):
        cut(shop.init, states / "checkpoint")
    files.link(published / REPLAY, states / REPLAY)
    start = before(states / "checkpoint", shop.layout, shop.recipe)
    assert start == shop.init
    assert cut(start, states / "checkpoint").steps == END


def test_a_start_that_is_not_there_is_refused_with_the_command_that_fetches_it(shop: Shop, published: Path, tmp_path: Path):
    bare = Shop(layout=type(shop.layout)(root=tmp_path, recipe="nano"), recipe=shop.recipe)
    first = published / CHECKPOINTS / step_name(EVERY)
    with pytest.raises(StateError, match="the checkpoint before it is not there") as raised:
        before(first, bare.layout, shop.recipe)
    assert "dvc pull init" in raised.value.cure
    with pytest.raises(StateError, match="no step was trained before it"):
        before(shop.init, shop.layout, shop.recipe)


def test_checkpoints_in_the_wrong_order_and_too_many_steps_are_refused(published: Path):
    early, late = (published / CHECKPOINTS / step_name(step) for step in (EVERY, END))
    with pytest.raises(StateError, match=f"does not come before step {EVERY} of {PHASE}"):
        cut(late, early)
    with pytest.raises(StateError, match="16 steps lie between, not 17"):
        cut(early, late, 17)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("drop", "steps 17 to 24 do not stand there one by one"),
        ("change", "is not the log that the checkpoint of step 24 commits to"),
        ("first", "does not go on from the checkpoint of step 16"),
        ("garbage", "a row of the log is not JSON"),
        ("number", "does not match"),
    ],
)
def test_a_log_that_was_touched_is_refused_before_anything_is_trained(published: Path, tmp_path: Path, harm: str, message: str):
    from yulan.train.log import chain_row

    run = copy_until(published, tmp_path / "run", END)
    rows = files.complete_rows(run / REPLAY)
    if harm == "drop":
        del rows[18]
    elif harm == "change":
        told = {key: value for key, value in rows[-1].items() if key != "chain"} | {"loss": "0x1.8p+1"}
        rows[-1] = chain_row(rows[-2]["chain"], told)
    elif harm in ("first", "number"):
        rows[16]["loss"] = "0x1.8p+1" if harm == "first" else "3.0"
    files.write_rows(run / REPLAY, rows)
    if harm == "garbage":
        files.write_text(run / REPLAY, "no row\n")
    with pytest.raises(IntegrityError, match=message):
        cut(run / CHECKPOINTS / step_name(BEGIN), run / CHECKPOINTS / step_name(END))


def stretch_of(run: Path, steps: int | None = None) -> Segment:
    return cut(run / CHECKPOINTS / step_name(BEGIN), run / CHECKPOINTS / step_name(END), steps)


def test_a_checkpoint_that_claims_other_keys_than_the_recipe_is_refused_with_the_keys(shop: Shop, published: Path):
    other = Shop(layout=shop.layout, recipe=audited_recipe(seed=7))
    told = {"into": None, "band": None, "band_at": None, "challenge": None, "look": lambda folder: lambda: None}
    with pytest.raises(RecipeError, match="claims other keys than recipe nano: seed"):
        replay_segment(stretch_of(published), other.bench(profile(2)), **told)


def test_another_machine_may_only_ask_for_close_and_needs_a_band(shop: Shop, published: Path):
    told = {"into": None, "band": None, "band_at": None, "challenge": None, "look": lambda folder: lambda: None}
    with pytest.raises(StateError, match="only CLOSE can be said here, and there is no band to judge by"):
        replay_segment(stretch_of(published), shop.bench(alone()), **told)


def test_absent_data_is_refused_before_anything_is_trained(shop: Shop, published: Path, tmp_path: Path):
    bare = Shop(layout=type(shop.layout)(root=tmp_path, recipe="nano"), recipe=shop.recipe)
    with pytest.raises(StateError, match="the data to replay on is not there") as raised:
        calibrate(stretch_of(published), bare.bench(profile(2)), [profile(2)] * 4, tmp_path / "into", lambda folder: lambda: None)
    assert f"dvc pull mix@{PHASE}" in raised.value.cure


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--challenge", "a b"], "a nonce has letters, digits, dots and dashes only"),
        (["--with", "two"], "a machine is written RANKSxTHREADS"),
        (["--challenge", "a", "--from", "."], "--challenge draws the stretch; --from cannot name it too"),
    ],
)
def test_wrong_words_are_refused(typed: Callable[..., Result], published: Path, words: list[str], message: str):
    done = typed(published, *words)
    assert (done.exit_code, message in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (2.0, 2.0, 0.0),
        (1.0, 2.0, 0.5),
        (-1.0, 1.0, FAR),
        (float("nan"), float("nan"), 0.0),
        (float("inf"), 1.0, FAR),
        (0.0, 0.0, 0.0),
    ],
)
def test_a_distance_is_relative_and_bounded(one: float, other: float, distance: float):
    assert apart(one, other) == apart(other, one) == distance
