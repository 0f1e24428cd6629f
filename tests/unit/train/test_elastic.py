"""One checkpoint, every layout: states are equal bit for bit. And under `reduction: exact`, so is the training."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.unit.train.conftest import ROOT, World, profile
from tests.unit.train.disturb import tree
from tests.unit.train.resave import LR, Task, micro_batches, regrid
from tests.unit.train.test_reduce import tree_sum
from yulan import files
from yulan.model.decoder import Decoder
from yulan.model.shape import lr_multiplier, parameters, weight_decay
from yulan.profile import Profile
from yulan.schema import plain
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.state import read_state, read_tensors
from yulan.train.checkpoint.stream import KINDS
from yulan.train.launch.job import CHECKPOINTS, JOB, read_job
from yulan.train.phase import link_outcome, train_phase

pytestmark = pytest.mark.slow
STAGES = range(4)


def exact(processes: int, zero: int) -> Profile:
    return replace(profile(processes, zero), reduction="exact")


def clipped(world: World) -> World:
    """Every step's gradient is clipped."""
    optimizer = replace(world.recipe.optimizer, clip=0.1)
    return replace(world, recipe=replace(world.recipe, optimizer=optimizer))


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of six exact steps under ZeRO-1 on one rank."""
    folder = tmp_path_factory.mktemp("trained")
    world = clipped(world)
    link_outcome(train_phase(world.plan(6, profile=exact(1, 1)), folder / "run"), folder / "data")
    return folder


def last(trained: Path) -> Path:
    return trained / "data" / CHECKPOINTS / "step-000006"


def resave(
    trained: Path, into: Path, ranks: int, stages: Sequence[int], sources: dict[str, Path], reductions: Sequence[str], grid: int
) -> list[str]:
    """Losses of one micro-batch after all, of every rank and stage."""
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
    script = str(Path(__file__).with_name("resave.py"))
    task = Task(
        job=str(trained / "run" / JOB),
        into=str(into),
        stages=tuple(stages),
        sources={name: str(path) for name, path in sources.items()},
        reductions=tuple(reductions),
        grid=grid,
    )
    told = files.write_json(into / f"task-{ranks}-{'-'.join(map(str, stages))}.json", plain(task))
    command = [sys.executable, "-m", "torch.distributed.run", *options, script, str(told)]
    own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return re.findall(r"0x[0-9a-f.]+p[+-]\d+", done.stdout)


def test_exact_runs_on_one_two_and_four_ranks_are_one_run_byte_for_byte(world: World, trained: Path, tmp_path: Path):
    world = clipped(world)
    first = train_phase(world.plan(4, profile=exact(2, 1)), tmp_path / "run")
    outcome = train_phase(world.plan(6, profile=exact(4, 3)), tmp_path / "run")
    assert (outcome.warnings, outcome.state.trajectory, outcome.state.determinism.ranks) == ((), "EXACT", None)
    link_outcome(outcome, tmp_path / "data")
    assert [path.name for path in outcome.kept] == ["step-000004", "step-000006"]
    assert first.kept[-1] == outcome.kept[0], "the older checkpoint is that of two ranks"
    assert tree(tmp_path / "data") == tree(trained / "data")
    norms = [row["grad_norm"] for row in files.complete_rows(trained / "data" / "metrics.jsonl")]
    assert len(norms) == 6
    assert min(norms) > world.recipe.optimizer.clip, "every gradient was clipped"
    warnings = train_phase(world.plan(6, profile=profile(2)), tmp_path / "run").warnings
    assert "any number of ranks x 1 threads" in warnings[0], "finished, so nothing is launched"


def step_by_definition(trained: Path, grid: int) -> dict[str, Tensor]:
    """Weights after a step from the last checkpoint: plain torch, one process."""
    job = regrid(read_job(trained / "run" / JOB), grid)
    recipe, phase, begin = job.recipe, job.section, read_checkpoint(last(trained))
    model = Decoder(recipe.model)
    model.load_state_dict({p.name: begin.tensor(p.name) for p in parameters(recipe.model)})
    weights, gradients = dict(model.named_parameters()), []
    for micro in micro_batches(job, grid):
        model.zero_grad()
        ids, at, targets = (torch.from_numpy(a.reshape(-1)) for a in (micro.tokens[:, :-1], micro.positions, micro.targets))
        bounds = torch.from_numpy(micro.cu_seqlens)
        loss = model(ids, at, bounds, phase.rope_theta, "sdpa", targets, recipe.optimizer.z_loss)
        (loss.total * (1.0 / grid)).backward()
        gradients.append({name: weight.grad.clone() for name, weight in weights.items()})
    sums = {name: tree_sum([each[name] for each in gradients]) for name in weights}
    norm = sum(value.double().square().sum() for value in sums.values()).sqrt().item()
    for p in parameters(recipe.model):
        rate = LR * lr_multiplier(p.kind, recipe.model, recipe.optimizer)
        betas = (recipe.optimizer.beta1, recipe.optimizer.beta2)
        adamw = torch.optim.AdamW([weights[p.name]], rate, betas, recipe.optimizer.eps, weight_decay(p.kind, recipe.optimizer))
        moments = {kind: begin.tensor(p.name, kind).clone() for kind in KINDS[1:]}
        adamw.state[weights[p.name]] = {"step": torch.tensor(float(begin.state.adam_step)), **moments}
        weights[p.name].grad = sums[p.name] * (1.0 / max(1.0, (norm + 1e-6) / recipe.optimizer.clip))
        adamw.step()
    return weights


def test_every_stage_on_three_ranks_loads_bit_equal_and_steps_by_definition(trained: Path, tmp_path: Path):
    # 15: no power of two, so that ranks have two and three subtrees.
    losses = resave(trained, tmp_path, 3, STAGES, {"loaded": last(trained)}, ["exact"], 15)
    assert len(losses) == 3 * 8
    assert len(set(losses[0::2])) == len(set(losses[1::2])) == 1, "forward runs on what was loaded, or made by the step"
    begin = last(trained)
    for stage in STAGES:
        folder = tmp_path / f"zero{stage}-ranks3"
        assert read_tensors(folder / "loaded") == read_tensors(begin), folder.name
        assert read_state(folder / "loaded").cursor == read_state(begin).cursor
        assert read_tensors(folder / "loaded-exact") == read_tensors(tmp_path / "zero0-ranks3" / "loaded-exact"), folder.name
    stepped, wanted = read_checkpoint(tmp_path / "zero3-ranks3" / "loaded-exact"), step_by_definition(trained, 15)
    assert all(torch.equal(stepped.tensor(name), weight) for name, weight in wanted.items())
    assert read_tensors(stepped.folder) != read_tensors(begin)


@pytest.mark.large
def test_sixteen_layouts_save_and_each_loads_all_sixteen_bit_equal(trained: Path, tmp_path: Path):
    sources = {}
    for ranks in range(1, 5):
        resave(trained, tmp_path / "saved", ranks, STAGES, {"begin": last(trained)}, ["engine", "exact"], 12)
    for stage, ranks in product(STAGES, range(1, 5)):
        folder = tmp_path / "saved" / f"zero{stage}-ranks{ranks}"
        assert read_tensors(folder / "begin") == read_tensors(last(trained)), folder.name
        sources[folder.name] = folder / "begin-engine"
        assert read_tensors(folder / "begin-exact") == read_tensors(tmp_path / "saved" / "zero0-ranks1" / "begin-exact")
    saved = {name: read_tensors(path) for name, path in sources.items()}
    assert len({str(rows) for rows in saved.values()}) > 4, "the engine's own sums differ between layouts"
    for stage, ranks in product(STAGES, range(1, 5)):
        resave(trained, tmp_path / "loaded", ranks, [stage], sources, [], 12)
        for name, rows in saved.items():
            folder = tmp_path / "loaded" / f"zero{stage}-ranks{ranks}" / name
            assert read_tensors(folder) == rows, folder
            assert read_state(folder) == read_state(sources[name]), folder
