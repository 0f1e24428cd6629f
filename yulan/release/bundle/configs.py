"""What of a data repository loads under which name: the card's `configs` and croissant.json both say what stands here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yulan.errors import RecipeError

DOCUMENTS, REJECTED = "documents", "rejected"
SPLITS = ("train", "held_out")
MADE, TEXT = "Synthetic text of the family {}.", "Text of {} as it was trained on."


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One data set for `load_dataset(repo, name)`: Parquet only, and no program."""

    name: str
    sentence: str
    """What it holds; {} stands for `of`."""
    of: str
    splits: Mapping[str, str]
    """Split -> pattern of its files, relative to the repository."""

    @property
    def about(self) -> str:
        return self.sentence.format(self.of)

    def files(self, folder: Path, split: str) -> list[Path]:
        """The files of a split, in the order in which they are read."""
        return sorted(folder.glob(self.splits[split]))


def configs(folder: Path, families: list[str], texts: list[str]) -> tuple[Config, ...]:
    """Every data set below `folder`, the one that loads by default first; a split without a file is left out.

    Raises: RecipeError: two of them would have one name.
    """
    made = tuple(_all(families, texts))
    found: dict[str, str] = {}
    for config in made:
        if config.name in found:
            raise RecipeError(
                f"two data sets of the release would be called {config.name!r}",
                where="$.release.text",
                cure="Rename the source or the family of synthetic text, or leave the source out",
            )
        found[config.name] = config.about
    there = (replace(each, splits={s: p for s, p in each.splits.items() if each.files(folder, s)}) for each in made)
    return tuple(config for config in there if config.splits)


def _all(families: list[str], texts: list[str]) -> Iterator[Config]:
    for name in families:
        yield Config(name=name, sentence=MADE, of=name, splits={"train": f"synthetic/{name}/*.parquet"})
    for source in texts:
        # A configuration's name may hold no slash.
        splits = {split: f"text/{source}/{split}/*.parquet" for split in SPLITS}
        yield Config(name=source.replace("/", "-"), sentence=TEXT, of=source, splits=splits)
    yield Config(
        name=DOCUMENTS,
        sentence="Every document of every source: its id, the digest of its cleaned text, where it lies in the stream, no text.",
        of="",
        splits={"train": "documents/train.parquet", "held_out": "documents/held.parquet"},
    )
    yield Config(
        name=REJECTED,
        sentence="Synthetic rows that were rejected, each with the reason.",
        of="",
        splits={"train": "synthetic/rejected.parquet"},
    )
