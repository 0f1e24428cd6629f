"""The data sections of a recipe, one per stage of the pipeline."""

from dataclasses import dataclass

from yulan.recipe.cleaning import Clean
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
class Tokenizer:
    """Byte-level BPE trained on a sample of the decontaminated text."""

    vocab_size: int
    pattern: str
    """Regular expression that cuts text into pieces before merging."""
    single_digits: bool
    """Each digit is a piece of its own."""
    special: tuple[str, ...]
    """Control tokens, from id 0 on."""
    bos: str
    eos: str
    """Ends each document."""
    sample_bytes: int
    """Bytes of text the merges are learned from, spread over the sources."""


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
    decontaminate: Decontaminate
    tokenizer: Tokenizer
    shards: Shards
