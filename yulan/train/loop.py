"""The training loop, whole: batch, backward, step, log, checkpoint."""

import time
from dataclasses import replace
from pathlib import Path

from yulan import files
from yulan.data.batch import Batches
from yulan.data.order import Order
from yulan.data.pack import Pack
from yulan.train.backend import connect
from yulan.train.checkpoint.saver import Saver
from yulan.train.checkpoint.scan import sweep
from yulan.train.engine import Engine
from yulan.train.launch.job import CHECKPOINTS, Job
from yulan.train.log import TIMING, WATCH, Log, batch_digest
from yulan.train.memory import keep_freed
from yulan.train.observe import Before, look
from yulan.train.randomness import seed_all
from yulan.train.run import Run, metrics_row
from yulan.train.schedule import rate_in
from yulan.train.watch import Stop, require_patience, target


def train(job: Job) -> None:
    """Run one rank from the job's checkpoint to its last step, or to the end of the step in which a signal comes.

    Raises: TrainError: the loss diverged; ResourceError: a checkpoint could not be written (the step after says so).
    """
    saver = Saver()
    try:
        _train(job, saver)
    except BaseException:
        saver.wait()
        raise
    saver.finish()


def _train(job: Job, saver: Saver) -> None:
    phase, recipe, folder = job.section, job.recipe, Path(job.folder)
    stop, rule = Stop(), recipe.watch
    seed_all(recipe.seed, job.profile.threads)
    if job.profile.device == "cpu":
        keep_freed()
    connect(job.profile)
    engine = Engine(recipe, phase, job.profile)
    run = Run(job=job, engine=engine)
    state = run.restore()
    if run.lead:
        sweep(folder / CHECKPOINTS)
    log = Log(folder, state.global_step, job.chain, state.chain) if run.lead else None
    pack = Pack.open(Path(job.mix), Path(job.shards))
    batches = Batches(pack=pack, order=Order(windows=pack.windows, key=job.order), batch=phase.batch, grid=phase.grid)
    stopping = False

    while state.phase_step < job.steps and not stopping:
        saver.check()
        began, step = time.perf_counter(), state.global_step + 1
        micros = batches.micros(state.cursor.windows, run.indices())
        targets, digests = run.exchange(micros)
        lr = rate_in(job.phase, step, recipe)
        before = Before.of(engine) if (state.phase_step + 1) % rule.every == 0 else None
        taken, stopping = run.take(micros, targets, lr, state, stop.asked)
        state, back = run.advance(state, lr, taken), None
        if (at := target(rule, state.watched, state.phase_step, phase.checkpoints.every)) is not None:
            require_patience(rule, state.watched, step, taken.loss, taken.norm)
            state, back = run.go_back(state, at, saver), step - state.phase_step + at
        seen = look(engine, micros[0], before, step, taken.norm, taken.why is None) if before and back is None else None
        saving = stopping or state.phase_step == job.steps or state.phase_step % phase.checkpoints.every == 0
        if log is not None:
            held = {"step": step, "batch": batch_digest(digests), "loss": taken.loss.hex(), "grad_norm": taken.norm.hex()}
            log.add(metrics_row(state, taken, phase.batch, back), held, durable=saving)
            if seen is not None:
                files.append(folder / WATCH, [seen], durable=saving)
            state = replace(state, chain=log.chain)
            seconds = round(time.perf_counter() - began, 4)
            files.append(folder / TIMING, [{"step": step, "seconds": seconds, "tokens": phase.step_tokens}])
        if saving:
            run.save(state, saver)
