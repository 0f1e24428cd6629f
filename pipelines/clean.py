"""Repair and filter; every dropped document has a reason."""

from pipelines.engine import engine
from pipelines.stage import Stage, run
from yulan.data.clean import clean


def work(stage: Stage) -> None:
    raw, _ = stage.open("raw")
    rules = stage.recipe.data.clean
    with engine(stage, "data.clean") as partitions:
        drops, masked = clean(stage.book.sources.sources, rules, raw.data, stage.place.data, partitions)
    stage.seal(keys=("data.clean",), summary=drops.summary() | {"masked": masked})


if __name__ == "__main__":
    run("clean", work)
