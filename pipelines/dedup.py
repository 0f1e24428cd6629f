"""Keep one copy of equal and nearly equal documents."""

from pipelines.engine import runner
from pipelines.stage import Stage, run
from yulan.data.dedup import dedup, held_bytes


def work(stage: Stage) -> None:
    cleaned, _ = stage.open("clean")
    synthetic, _ = stage.open("synthesize")
    folders, rules = [cleaned.data, synthetic.data], stage.recipe.data.dedup
    with runner(stage):
        drops, repeats = dedup(stage.book.sources.sources, folders, rules, stage.place.data)
    memory = {"bytes_per_document": held_bytes(drops, rules)}
    stage.seal(keys=("data.dedup",), summary=drops.summary() | {"repeated_lines": repeats, "memory": memory})


if __name__ == "__main__":
    run("dedup", work)
