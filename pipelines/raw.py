"""Read documents; from here on each has its id."""

from pipelines.engine import engine
from pipelines.stage import Stage, run
from yulan.data.raw import write_raw


def work(stage: Stage) -> None:
    sources, _ = stage.open("sources")
    with engine(stage) as partitions:
        read = write_raw(stage.book.sources.sources, sources.data, stage.place.data, partitions, stage.book.removed.ids)
    stage.seal(summary=read.summary())


if __name__ == "__main__":
    run("raw", work)
