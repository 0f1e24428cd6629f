"""Watching shows what is there and changes nothing."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.train.audit_kit import alone, in_process
from tests.unit.train.conftest import World
from yulan import files
from yulan.model.decoder import Decoder
from yulan.model.shape import parameters
from yulan.recipe import Recipe
from yulan.schema import check
from yulan.train.checkpoint.read import Checkpoint, read_checkpoint
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import read_tensors
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS, REPLAY, WATCH
from yulan.train.observe import largest_score, role
from yulan.train.phase import train_phase

STEPS, EVERY = 8, 4
NEVER = 1000


def watching(recipe: Recipe, every: int) -> Recipe:
    phase = recipe.phase("phase-01")
    phase = replace(phase, checkpoints=replace(phase.checkpoints, every=1, keep=STEPS))
    return replace(recipe, watch=replace(recipe.watch, every=every), phases={**recipe.phases, "phase-01": phase})


def train(world: World, run: Path, every: int, zero: int, reduction: str) -> Path:
    machine = replace(alone(), zero=zero, reduction=reduction)
    with in_process():
        train_phase(world.plan(STEPS, recipe=watching(world.recipe, every), profile=machine), run)
    return run


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(world, tmp_path_factory.mktemp("watched") / "run", EVERY, 1, "engine")


def at(run: Path, step: int) -> Checkpoint:
    return read_checkpoint(run / CHECKPOINTS / step_name(step))


@pytest.mark.slow
@pytest.mark.parametrize(("zero", "reduction"), [(0, "engine"), (1, "engine"), (2, "engine"), (3, "engine"), (3, "exact")])
def test_weights_moments_and_logs_are_those_of_a_run_that_nobody_watched(world: World, tmp_path: Path, zero: int, reduction: str):
    seen, unseen = (train(world, tmp_path / name, every, zero, reduction) for name, every in (("on", 1), ("off", NEVER)))
    assert len(files.complete_rows(seen / WATCH)) == STEPS
    assert files.complete_rows(unseen / WATCH) == []
    last = f"{CHECKPOINTS}/{step_name(STEPS)}"
    assert read_tensors(seen / last) == read_tensors(unseen / last)
    for name in (METRICS, REPLAY):
        assert (seen / name).read_bytes() == (unseen / name).read_bytes()


@pytest.mark.slow
def test_norms_and_alphas_are_those_of_the_checkpoints_around_the_step(world: World, run: Path):
    rows = files.complete_rows(run / WATCH)
    assert [row["step"] for row in rows] == [EVERY, 2 * EVERY]
    for row in rows:
        check(row, "watch", run / WATCH)
        before, after = at(run, row["step"] - 1), at(run, row["step"])
        sums: dict[str, list[float]] = {}
        for p in parameters(world.recipe.model):
            old, new = (each.tensor(p.name).double() for each in (before, after))
            found = sums.setdefault(role(p), [0.0, 0.0])
            found[0] += float(old.square().sum())
            found[1] += float((new - old).square().sum())
        assert row["groups"].keys() == sums.keys()
        for name, (weights, update) in sums.items():
            assert row["groups"][name]["weight_norm"] == pytest.approx(math.sqrt(weights), rel=1e-6)
            assert row["groups"][name]["update_ratio"] == pytest.approx(math.sqrt(update / weights), rel=1e-5)
        layer = [float(after.tensor(f"model.layers.{index}.self_attn.o_proj_alpha")) for index in range(2)]
        assert row["alphas"]["o_proj_alpha"] == layer
        assert row["alphas"]["norm_alpha"] == [float(after.tensor("model.norm_alpha"))]


@pytest.mark.slow
def test_the_groups_gradients_add_up_to_the_whole_one(run: Path):
    whole = {row["step"]: row["grad_norm"] for row in files.complete_rows(run / METRICS)}
    for row in files.complete_rows(run / WATCH):
        parts = math.hypot(*(each["grad_norm"] for each in row["groups"].values()))
        assert parts == pytest.approx(whole[row["step"]], rel=1e-4)


@pytest.mark.slow
def test_hidden_states_are_those_of_the_first_window_under_the_weights_after_the_step(world: World, run: Path):
    from yulan.data.batch import Batches
    from yulan.data.order import Order, order_key
    from yulan.data.pack import Pack

    row, context = files.complete_rows(run / WATCH)[-1], world.recipe.phase("phase-01").context
    pack = Pack.open(world.folder / "mix", world.folder / "shards")
    batches = Batches(pack=pack, order=Order(windows=pack.windows, key=order_key("5" * 64, world.recipe.seed)), batch=8, grid=8)
    micro = batches.micro((STEPS - 1) * 8, 0)
    decoder = Decoder(world.recipe.model)
    decoder.load_state_dict({p.name: at(run, STEPS).tensor(p.name) for p in parameters(world.recipe.model)})
    states: list[Any] = []
    for layer in decoder.model.layers:
        layer.register_forward_hook(lambda _, given, out: states.append(out))
    tokens, positions = (torch.from_numpy(each.reshape(-1)) for each in (micro.tokens[:, :-1], micro.positions))
    with torch.no_grad():
        decoder(tokens, positions, torch.from_numpy(micro.cu_seqlens), 10000.0, "sdpa")
    assert len(tokens) == context
    expected = [float(each.square().mean().sqrt()) for each in states]
    assert row["hidden_rms"][1:] == pytest.approx(expected, rel=1e-5)
    embedded = decoder.model.embed_tokens.weight.detach()[tokens] * world.recipe.model.scale_emb
    assert row["hidden_rms"][0] == pytest.approx(float(embedded.square().mean().sqrt()), rel=1e-5)
    assert len(row["middle_rms"]) == len(row["score_max"]) == 2


@pytest.mark.parametrize("rows", [None, 5])
def test_the_largest_score_is_that_of_a_pair_that_attention_sees(monkeypatch: pytest.MonkeyPatch, rows: int | None):
    if rows:
        monkeypatch.setattr("yulan.train.observe.SCORES", rows * 4 * 20)
    draw = torch.Generator().manual_seed(1)
    q, k, bounds = torch.randn(32, 4, 8, generator=draw), torch.randn(32, 2, 8, generator=draw), [0, 20, 21, 32]
    k[20] = 50.0
    found = [
        float(q[i, n] @ k[j, n // 2]) / math.sqrt(8)
        for start, end in ((0, 20), (20, 21), (21, 32))
        for i in range(start, end)
        for j in range(start, i + 1)
        for n in range(4)
    ]
    assert float(largest_score(q, k, bounds)) == pytest.approx(max(found), rel=1e-6)
