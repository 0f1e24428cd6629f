"""The data sections of a recipe, one per stage of the pipeline."""

from dataclasses import dataclass

from yulan.errors import RecipeError
from yulan.recipe.cleaning import Clean
from yulan.recipe.scoring import Score
from yulan.recipe.synthesis import Synthesize


@dataclass(frozen=True, kw_only=True, slots=True)
class Dedup:
    """Exact and MinHash-LSH near-duplicate removal."""

    shingle: int
    """Words (for text without spaces: characters) in a shingle."""
    bands: int
    rows: int
    """Hashes in a band; a signature has bands x rows."""
    seed: int
    priority: tuple[str, ...]
    """Beginnings of source names, dearest first: of equal or nearly equal documents the one from the dearest source stays,
    then the longest. A source that none names comes last."""
    repeat_chars: int
    """A line of at least so many characters that stands earlier in its document is taken out; sources in `code` are exempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decontaminate:
    ngram: int
    """A document that shares so many consecutive normalised words with an evaluation item is dropped."""
    shortest: int
    """An item with fewer words than `ngram` is looked for as a whole if it has at least so many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learn:
    """Byte-level BPE learned from a sample of the decontaminated text."""

    pattern: str
    """Regular expression that cuts text into pieces before merging."""
    single_digits: bool
    """Each digit is a piece of its own."""
    sample_bytes: int
    """Bytes of text the merges are learned from, spread over the sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A tokenizer that others published: one file, pinned. Nothing else of theirs is read, and nothing is run."""

    package: str | None
    """Key in `packages` of sources.yaml."""
    hub: str | None
    """Its repository on a hub; null: it is in `package`."""
    revision: str | None
    """Commit there."""
    path: str
    """Of `tokenizer.json`, in the package or the repository."""
    sha256: str
    """Of that file."""
    licence: str
    """SPDX id, or `unknown`."""
    loses: tuple[str, ...]
    """Characters that it does not give back, known and accepted: `▁` where it stands for a space. None: it must give all."""

    def __post_init__(self) -> None:
        where = "$.data.tokenizer.published"
        if (self.package is None) == (self.hub is None):
            raise RecipeError("a tokenizer lies in a package or on a hub", where=where, cure="Name one, the other is null")
        if (self.hub is None) != (self.revision is None):
            raise RecipeError(
                "a hub's tokenizer has a revision, a package's none", where=where, cure="Pin the commit, or write null"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenizer:
    """What text becomes: learned here, or published by others."""

    vocab_size: int
    """Entries: the highest id and one."""
    special: tuple[str, ...]
    """Control tokens, from id 0 on; of a published tokenizer all that it has, wherever they are."""
    bos: str
    eos: str
    """Ends each document."""
    learn: Learn | None
    """Null: it is published."""
    published: Published | None
    """Null: it is learned."""

    def __post_init__(self) -> None:
        if (self.learn is None) == (self.published is None):
            raise RecipeError(
                "a tokenizer is learned or published", where="$.data.tokenizer", cure="Fill learn or published, the other is null"
            )

    @property
    def learned(self) -> Learn:
        """Raises: RecipeError: it is published."""
        if self.learn is None:
            raise RecipeError("there is nothing to learn", where="$.data.tokenizer.learn", cure="Adopt the published tokenizer")
        return self.learn


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    tokens: int
    """Most token ids in a shard file."""
    held_out: int
    """Documents in a thousand kept from training, chosen by document id."""
    begin_with_bos: bool
    """Each document begins with the bos token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    clean: Clean
    synthesize: Synthesize
    dedup: Dedup
    score: Score
    decontaminate: Decontaminate
    tokenizer: Tokenizer
    shards: Shards
