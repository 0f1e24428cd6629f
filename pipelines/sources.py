"""Fetch the pinned packages, take out what holds text, benchmarks, generator and tokenizer, and take in what was fetched."""

from pipelines.stage import Stage, run
from yulan.data.listed import take_listed
from yulan.data.sources import gather, take_tokenizer


def work(stage: Stage) -> None:
    book, layout = stage.book, stage.layout
    published = book.recipe.data.tokenizer.published
    files = gather(book.sources, layout.downloads, stage.place.data, published)
    if published is not None and published.hub is not None:
        take_tokenizer(published, layout.downloads, stage.place.data)
    versions = {name: package.version for name, package in book.sources.packages.items()}
    addresses = {name: folder.address for name, folder in book.sources.folders.items()}
    packages = {name: {"files": count, "version": versions[name]} for name, count in sorted(files.items()) if name in versions}
    folders = {name: {"files": count, "address": addresses[name]} for name, count in sorted(files.items()) if name in addresses}
    listed = book.token_files(layout.recipe_folder)
    tokens = {"token_files": take_listed(listed, layout.token_files, stage.place.data)} if listed else {}
    summary = {"packages": packages} | ({"folders": folders} if folders else {}) | tokens
    stage.seal(keys=("data.tokenizer.published",), summary=summary)


if __name__ == "__main__":
    run("sources", work)
