"""Drop documents that hold an evaluation item."""

from pipelines.stage import Stage, run
from yulan.data.benchmarks import items
from yulan.data.decontaminate import decontaminate


def work(stage: Stage) -> None:
    text, _ = stage.open("scored")
    sources, _ = stage.open("sources")
    asked = sorted({task.benchmark for task in stage.recipe.evaluate.tasks.values()})
    benchmarks = {name: list(items(sources.data, stage.book.sources.benchmarks[name])) for name in asked}
    drops = decontaminate(benchmarks, stage.recipe.data.decontaminate, text.data, stage.place.data)
    held = {name: len(found) for name, found in benchmarks.items()}
    stage.seal(keys=("data.decontaminate", "evaluate.tasks"), summary=drops.summary() | {"items": held})


if __name__ == "__main__":
    run("decontaminated", work)
