"""Small real inputs: documents in Parquet, a tokenizer of 256 bytes, shards made with it."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yulan import digest
from yulan.data import tokenizer
from yulan.data.shard import Shards, write_shards
from yulan.data.tokenizer import Codec
from yulan.recipe import corpus

PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def bpe(**changes: object) -> corpus.Tokenizer:
    """Settings of a tokenizer of bytes; `changes` make another one."""
    learn: dict[str, object] = {"pattern": PATTERN, "single_digits": True, "sample_bytes": 100_000}
    learn |= {name: changes.pop(name) for name in list(changes) if name in learn}
    keys: dict[str, object] = {
        "vocab_size": 261,
        "special": ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"),
        "bos": "<s>",
        "eos": "</s>",
        "learn": corpus.Learn(**learn),  # type: ignore[arg-type]
        "published": None,
    }
    return corpus.Tokenizer(**{**keys, **changes})  # type: ignore[arg-type]


def put(folder: Path, source: str, texts: list[str]) -> None:
    """Write a source's documents as the stages before do."""
    rows = sorted((digest.of_text(text), text) for text in texts)
    table = pa.table({"id": [i for i, _ in rows], "text": [t for _, t in rows], "source": [source] * len(rows)})
    (folder / source).mkdir(parents=True)
    pq.write_table(table, folder / source / "00000.parquet")


def sentences(seed: int, documents: int, words: int = 30) -> list[str]:
    """Made-up documents with something to merge."""
    draw = random.Random(seed)
    known = ["the", "window", "token", "of", "a", "数据", "混合", "return", "self.x", "= 42", "naïve", "\n", "</s>", "🙂"]
    return [" ".join(draw.choices(known, k=draw.randint(1, words))) + f" {n}" for n in range(documents)]


@pytest.fixture(scope="session")
def byte_codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """One token a byte, after five control tokens."""
    folder = tmp_path_factory.mktemp("bytes")
    tokenizer.save(tokenizer.train(iter(["a"]), bpe(), begin_with_bos=False), folder, bpe())
    return tokenizer.load(folder, bpe(), begin_with_bos=False)


Maker = Callable[..., tuple[Path, Shards]]


@pytest.fixture
def make_shards(tmp_path: Path, byte_codec: Codec) -> Maker:
    """`make_shards({source: texts}, capacity=…, held_out=…)` -> their folder and index."""

    def make(sources: Mapping[str, list[str]], *, capacity: int = 500, held_out: int = 0) -> tuple[Path, Shards]:
        for name, texts in sources.items():
            put(tmp_path / "text", name, texts)
        settings = corpus.Shards(tokens=capacity, held_out=held_out, begin_with_bos=False)
        into = tmp_path / "shards"
        return into, write_shards(tmp_path / "text", byte_codec, settings, into, wanted=())

    return make
