"""List every document that a phase trains on, when and where, under one root."""

from pipelines.stage import Stage, run
from yulan.data.index.write import Made, write_index
from yulan.data.shard import DOCUMENTS, INDEX, read_shards


def work(stage: Stage) -> None:
    mixes = {phase: stage.open("mix", phase) for phase in stage.recipe.phases}
    text, _ = stage.open("decontaminated")
    copies, _ = stage.open("dedup", only=["drops.parquet"])
    place, _ = stage.open("shards", only=[INDEX])
    # Which documents there are says all; the tokens, the bulk of it, are not read.
    stage.open("shards", only=[INDEX, *(f"{name}/train/{DOCUMENTS}" for name in read_shards(place.data).sources)])
    made = Made(
        shards=place.data,
        text=text.data,
        copies=copies.data / "drops.parquet",
        mixes={phase: each.data for phase, (each, _) in mixes.items()},
        digests={phase: found.digest for phase, (_, found) in mixes.items()},
    )
    header = write_index(stage.recipe, made, stage.place.data)
    keys = [f"phases.{phase}.{key}" for phase in stage.recipe.phases for key in ("after", "tokens", "context", "batch", "grid")]
    stage.seal(keys=("seed", "data.shards.held_out", *keys), summary={"documents": header.documents, "root": header.root})


if __name__ == "__main__":
    run("index", work)
