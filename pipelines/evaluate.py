"""Measure a phase: bits per byte of held-out text, benchmarks, a few generations."""

import os
from importlib import metadata
from pathlib import Path

from pipelines.stage import Stage, run
from yulan.data import tokenizer
from yulan.data.benchmarks import Item, items
from yulan.data.shard import DOCUMENTS, INDEX, read_shards
from yulan.data.sources import located_items
from yulan.errors import StateError
from yulan.isa import isa
from yulan.layout import MANIFEST
from yulan.manifest import Determinism
from yulan.recipe import INIT
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.checkpoint.state import STATE, TENSORS, read_tensors
from yulan.train.launch.job import CHECKPOINTS


def work(stage: Stage) -> None:
    if stage.phase is None:
        raise StateError("evaluate needs a phase", cure="Run it as: dvc repro evaluate@phase-01")
    # Both are read at import: threads that spin while they wait slow a busy machine, and lm-eval draws bars.
    os.environ |= {"OMP_WAIT_POLICY": "passive", "TQDM_DISABLE": "1"}
    import torch

    from yulan.evaluate.phase import Subject, evaluate_phase

    recipe, phase = stage.recipe, stage.recipe.phase(stage.phase)
    threads = stage.profile.processes * stage.profile.threads
    torch.set_num_threads(threads)
    learned, _ = stage.open("tokenizer")
    subject = Subject(
        recipe=recipe,
        phase=stage.phase,
        checkpoint=_weights(stage, "train", stage.phase),
        parent=_weights(stage, "init") if phase.after == INIT else _weights(stage, "train", phase.after),
        codec=tokenizer.load(learned.data, recipe.data.tokenizer, begin_with_bos=recipe.data.shards.begin_with_bos),
        shards=_held_out(stage),
        families={name: source.family for name, source in stage.book.sources.sources.items()},
        items=_items(stage),
        device=stage.profile.device,
    )
    made = evaluate_phase(subject, stage.place.data)
    kind = torch.cuda.get_device_name() if stage.profile.device == "cuda" else isa()
    stage.seal(
        keys=("evaluate", f"phases.{stage.phase}.context", f"phases.{stage.phase}.rope_theta"),
        summary=made.summary(),
        determinism=Determinism(
            isa=kind, threads=threads, ranks=1, torch=metadata.version("torch"), zero=None, precision="fp32", attention="sdpa"
        ),
    )


def _weights(stage: Stage, name: str, phase: str | None = None) -> Path:
    """The last checkpoint of an artifact; its moments are not read.

    Raises: StateError: there is none.
    """
    place, _ = stage.open(name, phase, only=())
    steps = steps_in(place.data / CHECKPOINTS)
    if not steps:
        raise StateError("holds no checkpoint", where=place.data / CHECKPOINTS, cure="Restore it with: dvc checkout")
    folder = f"{CHECKPOINTS}/{step_name(steps[-1])}"
    weights = sorted({row.file for row in read_tensors(place.data / folder).tensors if row.set == "weights"})
    stage.open(name, phase, only=[f"{folder}/{part}" for part in (MANIFEST, STATE, TENSORS, *weights)])
    return place.data / folder


def _held_out(stage: Stage) -> Path:
    """The shards, of which the held-out splits are read."""
    place, _ = stage.open("shards", only=[INDEX])
    sources = read_shards(place.data).sources
    tables = [f"{name}/held/{DOCUMENTS}" for name in sources]
    stage.open("shards", only=[*tables, *(file.path for source in sources.values() for file in source.held.files)])
    return place.data


def _items(stage: Stage) -> dict[str, list[Item]]:
    """Items of each benchmark that the recipe asks after this phase."""
    if stage.phase not in stage.recipe.evaluate.benchmarked:
        return {}
    place, _ = stage.open("sources", only=())
    asked = sorted({task.benchmark for task in stage.recipe.evaluate.tasks.values()})
    benchmarks = {name: stage.book.sources.benchmarks[name] for name in asked}
    paths = [path for each in benchmarks.values() for path in located_items(place.data, each)]
    stage.open("sources", only=[path.relative_to(place.data).as_posix() for path in paths])
    return {name: list(items(place.data, benchmark)) for name, benchmark in benchmarks.items()}


if __name__ == "__main__":
    run("evaluate", work)
