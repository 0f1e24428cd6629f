"""A decoder small enough to run in milliseconds, with every scalar and bias away from its start value."""

from collections.abc import Callable

import pytest
import torch

from yulan.model.decoder import Decoder
from yulan.model.init import initialise
from yulan.recipe.model import Model

SMALL = Model(
    vocab_size=97,
    hidden_size=48,
    layers=3,
    heads=6,
    kv_heads=2,
    head_dim=8,
    ffn_size=80,
    norm_eps=1e-6,
    base_width=16,
    scale_emb=10.0,
    residual=1.4,
    init_std=0.2,
    tie_embeddings=True,
)


@pytest.fixture
def small() -> Model:
    return SMALL


@pytest.fixture(name="moved")
def make_moved() -> Callable[[Model], Decoder]:
    return moved


@pytest.fixture
def decoder(small: Model) -> Decoder:
    return moved(small)


def moved(model: Model) -> Decoder:
    """As after training: alphas, biases and norm weights have left their start values."""
    made = Decoder(model)
    initialise(made, model, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(("_alpha", "bias", "norm.weight")):
                parameter += 0.3 * torch.rand(parameter.shape, generator=generator)
    return made


@pytest.fixture
def pack() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(tokens, positions, cu_seqlens) of documents of 5, 7, 7 and 1 tokens."""
    lengths = [5, 7, 7, 1]
    tokens = torch.randint(0, SMALL.vocab_size, (sum(lengths),), generator=torch.Generator().manual_seed(3))
    positions = torch.cat([torch.arange(n) for n in lengths])
    return tokens, positions, torch.tensor([0, 5, 12, 19, 20], dtype=torch.int32)
