"""Lay out the three repositories of a release."""

from pathlib import Path

from pipelines.stage import Stage, run
from yulan.data.score.result import NAME as SCORES
from yulan.layout import MANIFEST
from yulan.release.bundle.build import build, summary
from yulan.release.bundle.inputs import Inputs
from yulan.release.export import end_of

UPSTREAM = (
    "sources",
    "raw",
    "clean",
    "synthesize",
    "dedup",
    "scored",
    "decontaminated",
    "tokenizer",
    "shards",
    "index",
    "init",
    "export",
    "figures",
)


def work(stage: Stage) -> None:
    phases = list(stage.recipe.phases)
    trained = {phase: stage.open("train", phase)[0].data for phase in phases}
    text = stage.open("decontaminated")[0].data
    inputs = Inputs(
        book=stage.book,
        root=stage.layout.root,
        ends=tuple(end_of(stage.recipe, phase, folder) for phase, folder in trained.items()),
        exported=stage.open("export")[0].data,
        shards=stage.open("shards")[0].data,
        scored=stage.open("scored", only=[SCORES])[0].data,
        text=text,
        synthesize=stage.open("synthesize")[0].data,
        index=stage.open("index")[0].data,
        decontaminated=text,
        figures=stage.open("figures")[0].data,
        trained=trained,
        evaluated={phase: stage.open("evaluate", phase)[0].data for phase in phases},
        mixes={phase: stage.open("mix", phase)[0].data for phase in phases},
        digests=stage.inputs,
        lineage=lineage(stage),
    )
    release = build(inputs, stage.place.data)
    stage.seal(keys=("name", "release"), summary=summary(stage.place.data, release))


def lineage(stage: Stage) -> dict[str, Path]:
    """The manifest of every stage before this one. Each names its inputs by digest, so together they are the whole chain."""
    places = {name: stage.layout.stage(name) for name in UPSTREAM}
    for name in ("mix", "train", "evaluate"):
        places |= {f"{name}/{phase}": stage.layout.stage(name, phase) for phase in stage.recipe.phases}
    return {name: place.folder / MANIFEST for name, place in places.items() if place.manifest.exists()}


if __name__ == "__main__":
    run("bundle", work)
