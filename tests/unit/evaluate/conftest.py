"""A tokenizer of bytes, and decoders small enough to run in milliseconds."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from yulan.data import tokenizer
from yulan.data.benchmarks import Item
from yulan.data.tokenizer import Codec
from yulan.evaluate.runner import Runner
from yulan.model.decoder import Decoder
from yulan.model.init import initialise
from yulan.recipe import corpus
from yulan.recipe.model import Model

if TYPE_CHECKING:
    from tests.unit.evaluate.suite_kit import Ground
    from yulan.evaluate.evaluated import Evaluated

MODEL = Model(
    vocab_size=261,
    hidden_size=32,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn_size=48,
    norm_eps=1e-6,
    base_width=16,
    scale_emb=10.0,
    residual=1.4,
    init_std=0.2,
    tie_embeddings=True,
)
SETTINGS = corpus.Tokenizer(
    vocab_size=261,
    special=("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"),
    bos="<s>",
    eos="</s>",
    learn=corpus.Learn(pattern=r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", single_digits=True, sample_bytes=1000),
    published=None,
)


def runner(seed: int | None, context: int = 64) -> Runner:
    """A random decoder; without a seed all its logits are 0, so that every token is equally likely."""
    decoder = Decoder(MODEL)
    if seed is not None:
        initialise(decoder, MODEL, seed=seed)
    return Runner(decoder=decoder, context=context, rope_theta=10000.0)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small cost more to share out than to multiply."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(name="runner")
def make_runner() -> Callable[..., Runner]:
    return runner


@pytest.fixture(scope="session")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """One token a byte, after five control tokens."""
    folder: Path = tmp_path_factory.mktemp("bytes")
    tokenizer.save(tokenizer.train(iter(["a"]), SETTINGS, begin_with_bos=False), folder, SETTINGS)
    return tokenizer.load(folder, SETTINGS, begin_with_bos=False)


@pytest.fixture
def documents(codec: Codec) -> list[np.ndarray]:
    """Of 3 to 30 bytes and their end, one of them Chinese."""
    draw = random.Random(1)
    texts = ["".join(draw.choices("abcdefgh ", k=length)) for length in (30, 3, 17, 17, 9)]
    return [codec.encode([text])[0] for text in [*texts, "人工智能"]]


@pytest.fixture
def items() -> list[Item]:
    return [
        Item(id=f"q{n}", question=f"Question: what is {n} and {n}?\nAnswer:", choices=("two", "three", f"{2 * n}"), answer=n % 3)
        for n in range(12)
    ]


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> "Ground":
    """A clone's checkpoint, its released forms and data sets; read, not changed."""
    from tests.unit.evaluate.suite_kit import make_ground

    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture(scope="session")
def made(ground: "Ground", tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, Evaluated]":
    """The report's suite as the checkpoint answers it, and the folder."""
    from tests.unit.evaluate.suite_kit import asked

    folder = tmp_path_factory.mktemp("made") / "out"
    before = dict(os.environ)
    found = asked(ground, folder)
    os.environ.clear()
    os.environ.update(before)
    return folder, found


@pytest.fixture
def own_environment() -> Iterator[None]:
    """The command tells libraries through the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
