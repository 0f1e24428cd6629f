"""Train one phase from its parent's last checkpoint, in a run folder that outlives this stage."""

from pathlib import Path
from typing import Any

from pipelines.stage import Stage, commit_of, run
from yulan import files
from yulan.errors import StateError
from yulan.recipe import INIT
from yulan.train.checkpoint.rebalance import stated
from yulan.train.checkpoint.scan import newest
from yulan.train.launch.job import CHECKPOINTS, training_keys
from yulan.train.log import METRICS
from yulan.train.phase import Outcome, Plan, link_outcome, run_digest, train_phase
from yulan.train.progress import Progress
from yulan.train.spend import require_allowed
from yulan.train.track import Attempt, Tracker


def work(stage: Stage) -> None:
    if stage.phase is None:
        raise StateError("train needs a phase", cure="Run it as: dvc repro train@phase-01")
    name, phase = stage.phase, stage.recipe.phase(stage.phase)
    parent, parent_manifest = stage.open("init") if phase.after == INIT else stage.open("train", phase.after)
    mix, mix_manifest = stage.open("mix", name)
    shards, _ = stage.open("shards")
    require_allowed(stage.recipe, stage.profile, stage.layout.spend())
    plan = Plan(
        recipe=stage.recipe,
        phase=name,
        profile=stage.profile,
        mix=mix.data,
        mix_digest=mix_manifest.digest,
        shards=shards.data,
        parent=_last(parent.data / CHECKPOINTS),
        steps=phase.steps,
    )
    folder = stage.layout.runs(name, run_digest(stage.recipe, name, mix_manifest.digest, parent_manifest.digest))
    attempt = Attempt(
        recipe=stage.recipe, phase=name, run=folder.name, inputs=dict(stage.inputs), commit=commit_of(stage.layout.root)
    )
    with Tracker(stage.layout.tracking, folder, attempt) as tracker:
        outcome = train_phase(plan, folder, Progress(folder, name, phase.steps).look)
        link_outcome(outcome, stage.place.data)
        tracker.checkpoints(outcome.kept)
    stage.seal(
        keys=training_keys(stage.recipe, name),
        summary=summary(stage, outcome),
        determinism=outcome.state.determinism,
        runs=tracker.runs,
        warnings=(*outcome.warnings, *tracker.warnings),
    )


def _last(checkpoints: Path) -> Path:
    """Raises: StateError: the parent has no checkpoint."""
    found, _ = newest(checkpoints)
    if found is None:
        raise StateError("holds no checkpoint", where=checkpoints, cure="Restore it with: dvc checkout")
    return found


def summary(stage: Stage, outcome: Outcome) -> dict[str, Any]:
    """Figures of the phase; losses are in nats a token, `rebalanced` is the number of alphas that its begin moved."""
    phase, state = stage.recipe.phase(stage.phase or ""), outcome.state
    losses = [row["loss"] for row in files.complete_rows(outcome.folder / METRICS) if not row["skipped"]]
    tail = losses[-max(1, len(losses) // 10) :]
    # A phase may be told to skip every step.
    first, final, last = (losses[0], losses[-1], sum(tail) / len(tail)) if losses else (None, None, None)
    return {
        "steps": phase.steps,
        "global_step": state.global_step,
        "tokens": phase.steps * phase.step_tokens,
        "tokens_total": state.tokens,
        "tokens_dropped": phase.dropped,
        "loss_first": first,
        "loss_final": final,
        "loss_last_tenth": last,
        "skipped": sum(1 for step in state.skipped if step > state.global_step - phase.steps),
        "rollbacks": state.watched.rollbacks,
        "rebalanced": None if (moved := stated(outcome.kept[0])) is None else len(moved),
        "trajectory": state.trajectory,
    }


if __name__ == "__main__":
    run("train", work)
