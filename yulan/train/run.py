"""One rank's part in a run: which micro-batches are its own, what the ranks tell each other, what a checkpoint says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from yulan.data.batch import NO_LOSS, Micro
from yulan.errors import StateError
from yulan.layout import MANIFEST
from yulan.model.loss import Loss
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.saver import Saver
from yulan.train.checkpoint.scan import KEPT, discard, require_whole, step_name, steps_in
from yulan.train.checkpoint.state import FORMAT, NOTHING, Cursor, State, read_state
from yulan.train.checkpoint.write import retain, write_checkpoint
from yulan.train.engine import Engine
from yulan.train.launch.job import CHECKPOINTS, Job, training_keys
from yulan.train.log import finite
from yulan.train.randomness import restore_random, save_random
from yulan.train.watch import Reason, follow, refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """One step, alike on every rank."""

    targets: int
    """Real ones."""
    loss: float
    """Cross-entropy in nats a target; NaN where the recipe skips the step."""
    z: float
    """Mean squared logsumexp."""
    norm: float
    """Of the gradient, before clipping."""
    why: Reason | None
    """Why nothing was updated."""


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
        return self._load(Path(self.job.start))

    def _load(self, folder: Path) -> State:
        job = self.job
        found = read_checkpoint(folder, self.engine.parameters)
        state = found.state
        if job.fresh_optimizer and folder == Path(job.parent):
            found = replace(found, files={key: path for key, path in found.files.items() if key[0] == "weights"})
            state = replace(state, adam_step=0, fresh_optimizer=True)
        self.engine.load(found, state.adam_step)
        restore_random(state.rng)
        if state.cursor.phase != job.phase:
            state = replace(state, phase_step=0, cursor=Cursor(phase=job.phase, windows=0), watched=NOTHING)
        keys = job.recipe.keys(*training_keys(job.recipe, job.phase))
        return replace(
            state, format=FORMAT, recipe=job.recipe.name, keys=keys, trajectory=job.trajectory, determinism=job.determinism
        )

    def go_back(self, state: State, target: int, saver: Saver) -> State:
        """Load the checkpoint of a step of the phase; every step from there to `state` has updated nothing. Every rank calls it.

        Raises: StateError: it is not there; IntegrityError: it is not as its manifest says.
        """
        saver.finish()
        dist.barrier()
        checkpoints = Path(self.job.folder) / CHECKPOINTS
        step = state.global_step - state.phase_step + target
        folder = checkpoints / step_name(step)
        if not (folder / MANIFEST).exists():
            folder = Path(self.job.parent)
            if read_state(folder).global_step != step:
                raise StateError(
                    f"training has to go back to step {step}, whose checkpoint is not there",
                    where=checkpoints,
                    cure="Begin from that checkpoint or an earlier one",
                )
        if self.lead:
            require_whole(folder)
            for stale in steps_in(checkpoints):
                if stale > step:
                    discard(checkpoints / step_name(stale))
        dist.barrier()
        back = self._load(folder)
        taken = range(back.global_step + 1, state.global_step + 1)
        watched = replace(
            back.watched, refused=(), rollbacks=state.watched.rollbacks + 1, back=back.phase_step, since=state.phase_step
        )
        return replace(
            state, skipped=(*back.skipped, *taken), adam_step=back.adam_step, rng=back.rng, chain=state.chain, watched=watched
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

    def take(self, micros: Sequence[Micro], targets: int, lr: float, state: State, stop: bool) -> tuple[Taken, bool]:
        """Train on the step after `state`, unless the recipe skips it; what is refused updates nothing.

        Returns: the step; whether any rank is asked to `stop`.
        """
        told, rule = self.job.section.skips(state.phase_step + 1), self.job.recipe.watch
        losses = [] if told else [self.engine.backward(micro, 1.0 / targets) for micro in micros]
        cross_entropy, squared, stopping = self.totals(losses, stop)
        why: Reason | None = "told"
        loss, norm = cross_entropy / targets, math.nan
        if not told:
            # An engine that finds a gradient not finite by itself does not ask.
            answers: list[Reason | None] = ["not finite"]

            def accept(norm: float) -> bool:
                answers.append(refusal(rule, state.watched, loss, norm))
                return answers[-1] is None

            norm = self.engine.step(lr, accept)
            why = answers[-1]
        return Taken(targets=targets, loss=loss, z=squared / targets, norm=norm, why=why), stopping

    def totals(self, losses: Sequence[Loss], stop: bool) -> tuple[float, float, bool]:
        """Over the whole grid: summed cross-entropy and squared logsumexp, in fp64; whether anyone asks to stop."""
        asked = torch.tensor(float(stop), device=self.engine.device)
        own = [torch.stack([loss.cross_entropy, loss.squared_logsumexp, asked]) for loss in losses]
        told = torch.stack(own or [torch.stack([asked * math.nan, asked * math.nan, asked])]).double()
        every = [torch.empty_like(told) for _ in range(dist.get_world_size())]
        dist.all_gather(every, told)
        # In the order of the grid, so that the sums do not know who had which part of it.
        sums = torch.cat(every).sum(0).tolist()
        return sums[0], sums[1], bool(sums[2])

    def advance(self, state: State, lr: float, taken: Taken) -> State:
        """The state after one more step."""
        phase, skipped = self.job.section, taken.why is not None
        return replace(
            state,
            global_step=state.global_step + 1,
            phase_step=state.phase_step + 1,
            tokens=state.tokens + phase.step_tokens,
            cursor=Cursor(phase=self.job.phase, windows=state.cursor.windows + phase.batch),
            skipped=(*state.skipped, state.global_step + 1) if skipped else state.skipped,
            adam_step=state.adam_step + (not skipped),
            lr=lr,
            watched=follow(self.job.recipe.watch, state.watched, state.phase_step + 1, taken.loss, taken.norm, taken.why),
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
                back = KEPT if self.job.recipe.watch.rollbacks else 0
                retain(folder, state.global_step, keep=plan.keep, every=plan.every, begin=begin, back=back)

        saver.start(write)


def metrics_row(state: State, taken: Taken, batch: int, target: int | None) -> dict[str, Any]:
    """`batch`: windows of a step; `target`: global step that training went back to."""
    skipped, consumed = taken.why is not None, state.cursor.windows
    return {
        "step": state.global_step,
        "phase_step": state.phase_step,
        "tokens": state.tokens,
        "targets": taken.targets,
        "loss": finite(taken.loss),
        "z": finite(taken.z),
        "lr": state.lr,
        "grad_norm": finite(taken.norm),
        "skipped": skipped,
        "why": taken.why,
        "windows": [consumed - batch, consumed] if skipped else None,
        "rollback": target,
    }
