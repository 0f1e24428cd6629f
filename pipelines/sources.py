"""Fetch the pinned packages, take out the files that hold text, benchmarks and the generator, and take in token files."""

from pipelines.stage import Stage, run
from yulan.data.listed import take_listed
from yulan.data.sources import gather


def work(stage: Stage) -> None:
    book, layout = stage.book, stage.layout
    files = gather(book.sources, layout.downloads, stage.place.data)
    versions = {name: package.version for name, package in book.sources.packages.items()}
    addresses = {name: folder.address for name, folder in book.sources.folders.items()}
    packages = {name: {"files": count, "version": versions[name]} for name, count in sorted(files.items()) if name in versions}
    folders = {name: {"files": count, "address": addresses[name]} for name, count in sorted(files.items()) if name in addresses}
    listed = book.token_files(layout.recipe_folder)
    tokens = {"token_files": take_listed(listed, layout.token_files, stage.place.data)} if listed else {}
    stage.seal(summary={"packages": packages} | ({"folders": folders} if folders else {}) | tokens)


if __name__ == "__main__":
    run("sources", work)
