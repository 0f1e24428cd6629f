"""Repair and filter; every dropped document has a reason."""

from pipelines.stage import Stage, run
from yulan.data.clean import clean


def work(stage: Stage) -> None:
    raw, _ = stage.open("raw")
    drops, masked = clean(stage.book.sources.sources, stage.recipe.data.clean, raw.data, stage.place.data)
    stage.seal(keys=("data.clean",), summary=drops.summary() | {"masked": masked})


if __name__ == "__main__":
    run("clean", work)
