"""Start values: each tensor's depend on the seed and its own name alone, so ranks, layouts and orders of making agree."""

from collections.abc import Iterator

import torch
from torch import Tensor

from yulan.digest import of_json
from yulan.model.decoder import Decoder
from yulan.model.shape import Parameter, alpha_start, parameters
from yulan.recipe.model import Model


def start_values(model: Model, seed: int) -> Iterator[tuple[str, Tensor]]:
    """fp32 tensors by name, one in memory at a time: matrices and embeddings normal(0, init_std), biases 0, norms 1, alphas
    at their start."""
    for parameter in parameters(model):
        yield parameter.name, _start(parameter, model, seed)


def initialise(decoder: Decoder, model: Model, seed: int) -> None:
    """Give a decoder its start values, in place."""
    own = dict(decoder.named_parameters())
    with torch.no_grad():
        for name, value in start_values(model, seed):
            own[name].copy_(value)


def _start(parameter: Parameter, model: Model, seed: int) -> Tensor:
    if parameter.kind == "alpha":
        return torch.full(parameter.shape, alpha_start(model, parameter.name))
    if parameter.kind in ("bias", "norm"):
        return torch.full(parameter.shape, float(parameter.kind == "norm"))
    generator = torch.Generator().manual_seed(int(of_json([seed, parameter.name])[:16], 16))
    # Drawn in fp64: torch's fp32 normals differ between instruction sets.
    return torch.randn(parameter.shape, generator=generator, dtype=torch.float64).mul_(model.init_std).float()
