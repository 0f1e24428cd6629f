"""One rank's part in a run: which micro-batches are its own, what the ranks tell each other, what a checkpoint says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from yulan.data.batch import NO_LOSS, Micro
from yulan.model.loss import Loss
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.saver import Saver
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import FORMAT, Cursor, State
from yulan.train.checkpoint.write import retain, write_checkpoint
from yulan.train.engine import Engine
from yulan.train.launch.job import CHECKPOINTS, Job, training_keys
from yulan.train.log import finite
from yulan.train.randomness import restore_random, save_random


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    job: Job
    engine: Engine

    @property
    def lead(self) -> bool:
        """Rank 0, which writes."""
        return dist.get_rank() == 0

    def indices(self) -> range:
        """This rank's micro-batches of the grid: neighbours."""
        share = self.job.section.grid // dist.get_world_size()
        return range(dist.get_rank() * share, (dist.get_rank() + 1) * share)

    def restore(self) -> State:
        """Load the job's checkpoint into the engine; the state as this phase goes on from it."""
        job = self.job
        found = read_checkpoint(Path(job.start), self.engine.parameters)
        state = found.state
        if job.fresh_optimizer:
            found = replace(found, files={key: path for key, path in found.files.items() if key[0] == "weights"})
            state = replace(state, adam_step=0, fresh_optimizer=True)
        self.engine.load(found, state.adam_step)
        restore_random(state.rng)
        if state.cursor.phase != job.phase:
            state = replace(state, phase_step=0, cursor=Cursor(phase=job.phase, windows=0))
        keys = job.recipe.keys(*training_keys(job.recipe, job.phase))
        return replace(
            state, format=FORMAT, recipe=job.recipe.name, keys=keys, trajectory=job.trajectory, determinism=job.determinism
        )

    def exchange(self, micros: Sequence[Micro]) -> tuple[int, list[str]]:
        """Real targets of the whole step, and the digests of its micro-batches in the order of the grid."""
        counts = [int((micro.targets != NO_LOSS).sum()) for micro in micros]
        words = [np.frombuffer(bytes.fromhex(micro.digest), "<i8").tolist() for micro in micros]
        own = [[count, *digest] for count, digest in zip(counts, words, strict=True)]
        told = torch.tensor(own, device=self.engine.device)
        every = [torch.empty_like(told) for _ in range(dist.get_world_size())]
        dist.all_gather(every, told)
        rows = torch.cat(every).cpu().numpy()
        return int(rows[:, 0].sum()), [row[1:].astype("<i8").tobytes().hex() for row in rows]

    def totals(self, losses: Sequence[Loss], stop: bool) -> tuple[float, float, bool]:
        """Over the whole grid: summed cross-entropy and squared logsumexp, in fp64; whether anyone asks to stop."""
        asked = torch.tensor(float(stop), device=self.engine.device)
        told = torch.stack([torch.stack([loss.cross_entropy, loss.squared_logsumexp, asked]) for loss in losses]).double()
        every = [torch.empty_like(told) for _ in range(dist.get_world_size())]
        dist.all_gather(every, told)
        # In the order of the grid, so that the sums do not know who had which part of it.
        sums = torch.cat(every).sum(0).tolist()
        return sums[0], sums[1], bool(sums[2])

    def advance(self, state: State, lr: float, skipped: bool) -> State:
        """The state after one more step."""
        phase = self.job.section
        return replace(
            state,
            global_step=state.global_step + 1,
            phase_step=state.phase_step + 1,
            tokens=state.tokens + phase.step_tokens,
            cursor=Cursor(phase=self.job.phase, windows=state.cursor.windows + phase.batch),
            skipped=(*state.skipped, state.global_step + 1) if skipped else state.skipped,
            adam_step=state.adam_step + (not skipped),
            lr=lr,
        )

    def save(self, state: State, saver: Saver) -> None:
        """Begin to write a checkpoint; then the old ones are swept. Every rank calls it.

        Raises: what the save before raised. ResourceError: no space; IntegrityError: what was written does not read back.
        """
        folder = Path(self.job.folder) / CHECKPOINTS
        state, plan = replace(state, rng=save_random()), self.job.section.checkpoints
        parameters = self.engine.parameters
        fragment = saver.snapshot(parameters, self.engine.fragment)

        def write() -> None:
            at = folder / step_name(state.global_step)
            write_checkpoint(at, state, parameters, fragment, lead=self.lead, group=saver.group)
            if self.lead:
                begin = state.global_step - state.phase_step
                retain(folder, state.global_step, keep=plan.keep, every=plan.every, begin=begin)

        saver.start(write)


def metrics_row(state: State, targets: int, loss: float, z: float, norm: float, skipped: bool) -> dict[str, Any]:
    return {
        "step": state.global_step,
        "phase_step": state.phase_step,
        "tokens": state.tokens,
        "targets": targets,
        "loss": finite(loss),
        "z": finite(z),
        "lr": state.lr,
        "grad_norm": finite(norm),
        "skipped": skipped,
    }
