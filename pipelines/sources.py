"""Fetch the pinned packages, take out the files that hold text, benchmarks and the generator, and take in token files."""

from pipelines.stage import Stage, run
from yulan.data.listed import take_listed
from yulan.data.sources import gather


def work(stage: Stage) -> None:
    book, layout = stage.book, stage.layout
    files = gather(book.sources, layout.downloads, stage.place.data)
    packages = {name: {"files": count, "version": book.sources.packages[name].version} for name, count in sorted(files.items())}
    listed = book.token_files(layout.recipe_folder)
    tokens = {"token_files": take_listed(listed, layout.token_files, stage.place.data)} if listed else {}
    stage.seal(summary={"packages": packages} | tokens)


if __name__ == "__main__":
    run("sources", work)
