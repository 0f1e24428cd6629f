"""Replay on another machine: judged by a band that the auditor's own trainings of the stretch give."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.train.audit_kit import BEGIN, EVERY, PHASE, Shop, alone, audited_recipe, copy_until
from tests.unit.train.conftest import profile
from tests.unit.train.forge import forge_end
from yulan import files
from yulan.cli.replay import DIFFERENT, replay
from yulan.errors import DataError, RecipeError, StateError
from yulan.model.shape import parameters
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import read_state, read_tensors
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import REPLAY
from yulan.train.replay.band import FLOOR, MARGIN, Band, machines, make_band, perturbed, read_band, require_fitting
from yulan.train.replay.measure import distances
from yulan.train.replay.segment import cut
from yulan.train.replay.verdict import judge, sentence

pytestmark = pytest.mark.slow
FIRST, LAST = EVERY, BEGIN
"""The stretch: published by two ranks, replayed by one."""


@pytest.fixture(scope="module")
def published(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as it stood after the stretch."""
    return copy_until(published, tmp_path_factory.mktemp("published") / "run", LAST)


def typed(shop: Shop, *words: object) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shop.layout.root)
        return CliRunner().invoke(replay, [str(word) for word in words])


@pytest.fixture(scope="module")
def calibrated(shop: Shop, published: Path) -> tuple[Path, Path]:
    """The band's file, and the working folders of its four trainings, the one of one rank first."""
    band, into = published.parent / "band.json", published.parent / "calibration"
    done = typed(shop, published, "--calibrate", band, "--profile", "cpu-1", "--into", into)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{band}: 8 steps, 4 runs, 2 of them moved\n", "at this size another thread changes nothing"
    return band, into


def test_a_band_holds_every_pair_of_its_runs_with_a_margin(calibrated: tuple[Path, Path], published: Path):
    band, into = read_band(calibrated[0]), calibrated[1]
    assert [(run.ranks, run.threads) for run in band.runs] == [(1, 1), (2, 1), (4, 1), (1, 2)]
    ends = [into / name / CHECKPOINTS / step_name(LAST) for name in ("1-2x1", "2-4x1")]
    rows = [files.complete_rows(into / name / REPLAY)[-EVERY:] for name in ("1-2x1", "2-4x1")]
    seen = distances((rows[0], rows[1]), published / CHECKPOINTS / step_name(FIRST), (ends[0], ends[1]))
    for field, limits in band.rows.items():
        assert all(limit >= max(FLOOR, MARGIN * far) for limit, far in zip(limits, seen.rows[field], strict=True))
        assert list(limits) == sorted(limits)
    for kind, spread in seen.tensors.items():
        assert band.tensors[kind].largest >= MARGIN * spread.largest > 0
        assert band.tensors[kind].median >= MARGIN * spread.median


def test_an_honest_stretch_of_another_machine_is_close_and_never_called_proved(
    shop: Shop, calibrated: tuple[Path, Path], published: Path
):
    band, into = calibrated
    words = (published, "--band", band, "--profile", "cpu-1", "--into", into / "0-1x1")
    done = typed(shop, *words)
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        f"CLOSE: steps 9 to 16 of {PHASE}: consistent with what is published, not proved (ranks 1 here, 2 there)\n"
    )
    found = json.loads(typed(shop, *words, "--json").stdout)
    assert (found["verdict"], found["asked"], found["band"]) == ("CLOSE", "CLOSE", read_band(band).digest)
    assert found["first_step"] is not None, "bits differ all the same"
    assert found["outside"] == []
    assert found["distances"]["weights largest"] > 0


def test_what_lies_outside_the_band_is_different_and_named(
    shop: Shop, calibrated: tuple[Path, Path], published: Path, tmp_path: Path
):
    run = copy_until(published, tmp_path / "run", LAST)
    forge_end(run / CHECKPOINTS / step_name(LAST), shop.recipe, factor=1.5)
    done = typed(shop, run, "--band", calibrated[0], "--profile", "cpu-1", "--into", calibrated[1] / "0-1x1")
    assert done.exit_code == DIFFERENT
    assert "outside the band: weights largest, model.layers.1.self_attn.q_proj.weight" in done.stdout
    assert "first step that differs: 1" in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 4}, "the band is of 8 steps, not 4"),
        ({"phase": "phase-02"}, "or of other recipe keys"),
        ({"start": FIRST - EVERY}, "the band begins at another checkpoint"),
    ],
)
def test_a_band_of_another_stretch_is_refused(
    shop: Shop, calibrated: tuple[Path, Path], published: Path, change: dict[str, Any], message: str
):
    told = {"phase": PHASE, "start": FIRST, "steps": EVERY} | change
    start = published / CHECKPOINTS / step_name(told["start"]) if told["start"] else shop.init
    with pytest.raises(RecipeError, match=message):
        require_fitting(read_band(calibrated[0]), shop.recipe, told["phase"], start, told["steps"], calibrated[0])


@pytest.fixture
def same(shop: Shop, published: Path) -> Callable[[int], Band]:
    """A band of so many runs that are all one and the same."""
    start, end = (published / CHECKPOINTS / step_name(step) for step in (FIRST, LAST))
    run = read_state(end).determinism, files.complete_rows(published / REPLAY)[FIRST:], end
    return lambda count: make_band(shop.recipe, PHASE, start, [run] * count)


def test_fewer_than_three_perturbed_runs_make_no_band(shop: Shop, published: Path, same: Callable[[int], Band]):
    done = typed(shop, published, "--calibrate", published.parent / "none.json", "--with", "1x1", "--profile", "cpu-2")
    assert "1 perturbed runs make no band" in str(done.exception), "said before anything is trained"
    with pytest.raises(StateError, match="2 perturbed runs make no band"):
        same(3)


def test_perturbed_runs_that_move_nothing_make_no_band(same: Callable[[int], Band]):
    with pytest.raises(StateError, match="all perturbed runs are equal bit for bit"):
        same(4)


def test_a_band_that_lacks_a_limit_is_refused(calibrated: tuple[Path, Path], tmp_path: Path):
    told = json.loads(calibrated[0].read_text())
    told["rows"]["loss"].pop()
    with pytest.raises(DataError, match="the band lacks a limit"):
        read_band(files.write_json(tmp_path / "band.json", told))


def rewrite(checkpoint: Path, **changed: Any) -> None:
    """Seal a checkpoint again with other parts of its state."""
    found = read_checkpoint(checkpoint)
    tensors = {key: found.tensor(key[1], key[0]).clone().view(-1) for key in found.files}
    files.remove(checkpoint)
    parts = parameters(audited_recipe().model)
    write_checkpoint(checkpoint, replace(found.state, **changed), parts, lambda name, kind: (0, tensors[kind, name]))


def test_a_path_whose_machine_changed_is_exact_if_equal_and_else_the_bands_to_judge(published: Path, tmp_path: Path):
    run = copy_until(published, tmp_path / "run", LAST)
    end = run / CHECKPOINTS / step_name(LAST)
    rewrite(end, trajectory="CLOSE")
    stretch = cut(run / CHECKPOINTS / step_name(FIRST), end)
    honest = published / CHECKPOINTS / step_name(LAST)
    own, rows = read_state(honest).determinism, list(stretch.rows)
    found = judge(stretch, rows, honest, own)
    assert (found.verdict, found.asked) == ("EXACT", "EXACT")
    assert "it was another one on the way there" in found.reason
    forge_end(end, audited_recipe())
    with pytest.raises(StateError, match="only CLOSE can be said here, and there is no band to judge by"):
        judge(cut(stretch.start, end), rows, honest, own)


@pytest.mark.parametrize(("part", "value"), [("lr", 0.5), ("tokens", 7), ("rng", "00"), ("skipped", (9,))])
def test_a_part_of_the_state_that_no_machine_changes_is_named_on_any_machine(
    published: Path, tmp_path: Path, part: str, value: Any
):
    run = copy_until(published, tmp_path / "run", LAST)
    end, honest = (folder / CHECKPOINTS / step_name(LAST) for folder in (run, published))
    rewrite(end, **{part: value})
    own = read_state(honest).determinism
    for machine in (own, replace(own, ranks=1)):
        found = judge(cut(run / CHECKPOINTS / step_name(FIRST), end), files.complete_rows(run / REPLAY)[FIRST:], honest, machine)
        assert (found.verdict, found.first_step, found.first_state, found.first_tensor) == ("DIFFERENT", None, part, None)


def test_a_batch_of_other_data_is_different_on_any_machine(published: Path):
    stretch = cut(published / CHECKPOINTS / step_name(FIRST), published / CHECKPOINTS / step_name(LAST))
    rows = [dict(row) for row in stretch.rows]
    rows[3]["batch"] = "0" * 64
    own = replace(read_state(stretch.end).determinism, threads=7)
    found = judge(stretch, rows, stretch.end, own)
    assert (found.verdict, found.asked, found.reason) == ("DIFFERENT", "CLOSE", "threads 7 here, 1 there")
    assert (found.first_step.name, found.first_step.step) == ("batch", FIRST + 4)


def test_a_replay_that_stops_short_compares_rows_only_and_says_so(published: Path, tmp_path: Path):
    stretch = cut(published / CHECKPOINTS / step_name(FIRST), published / CHECKPOINTS / step_name(LAST), 3)
    found = judge(stretch, stretch.rows[:3], tmp_path / "unread", read_state(stretch.end).determinism)
    assert (found.verdict, found.states_compared) == ("EXACT", False)
    assert "steps 9 to 11" in sentence(found)
    assert "the states at the end were not reached" in sentence(found)


def test_a_tensor_that_one_side_lacks_is_as_far_as_can_be(published: Path, tmp_path: Path):
    start, end = (published / CHECKPOINTS / step_name(step) for step in (FIRST, LAST))
    table = json.loads((end / "tensors.json").read_text())
    files.link_tree(end, tmp_path / "bare")
    lost = table["tensors"].pop()
    files.write_json(tmp_path / "bare" / "tensors.json", table)
    rows = files.complete_rows(published / REPLAY)[FIRST:]
    found = distances((rows, rows), start, (end, tmp_path / "bare")).tensors[lost["set"]]
    assert (found.largest, found.where, found.median) == (2.0, lost["name"], 0.0)
    assert len(read_tensors(end).tensors) == len(table["tensors"]) + 1


def test_the_machines_of_a_band_sum_in_other_orders():
    assert [(p.processes, p.threads) for p in perturbed(alone(), 4)] == [(1, 1), (2, 1), (4, 1), (1, 2)]
    assert [(p.processes, p.threads) for p in perturbed(profile(2), 4)] == [(2, 1), (1, 1), (4, 1), (2, 2)]
    exact = perturbed(replace(profile(2), reduction="exact"), 4)
    assert [p.reduction for p in exact] == ["exact", "engine", "engine", "engine"], "which sums alike on any number of ranks"
    gpu = replace(profile(2), device="cuda", processes=8)
    assert [p.processes for p in perturbed(gpu, 8)] == [8, 1, 2, 4], "threads of the CPU change nothing there"
    assert [(p.processes, p.threads) for p in machines(alone(2), [(4, 3)])] == [(1, 2), (4, 3)]
