"""Drop documents that hold an evaluation item."""

from pipelines.engine import engine
from pipelines.stage import Stage, run
from yulan.data.benchmarks import items
from yulan.data.contamination import read_contamination
from yulan.data.decontaminate import decontaminate


def work(stage: Stage) -> None:
    text, _ = stage.open("scored")
    sources, _ = stage.open("sources")
    asked = sorted({task.benchmark for task in stage.recipe.evaluate.tasks.values()})
    benchmarks = {name: list(items(sources.data, stage.book.sources.benchmarks[name])) for name in asked}
    rules = stage.recipe.data.decontaminate
    with engine(stage, "data.decontaminate") as partitions:
        drops = decontaminate(benchmarks, rules, text.data, stage.place.data, partitions)
    found = read_contamination(stage.place.data).summary()
    stage.seal(keys=("data.decontaminate", "evaluate.tasks"), summary=drops.summary() | {"benchmarks": found})


if __name__ == "__main__":
    run("decontaminated", work)
