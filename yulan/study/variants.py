"""What the stability study takes apart: muP, the re-parameterisation and the z-loss, each on or off over one shape.

Source of the parts: the YuLan-Mini report (arXiv 2412.17743). muP is its width and depth scaling: matrices start
sqrt(D0/D) smaller and train at lr x D0/D, embeddings are multiplied after look-up, a block's output by 1.4/sqrt(L).
The re-parameterisation (WeSaR) draws every matrix with one small deviation and carries its scale in a learnable
alpha. Plain is the usual scaled start (deviation 0.02; matrices that write into the residual stream over sqrt(2L)).
"""

import math
from dataclasses import dataclass, replace

import torch

from yulan.model.decoder import Decoder
from yulan.model.init import start_values
from yulan.model.shape import alpha_start, parameters
from yulan.recipe.model import Model
from yulan.recipe.training import Optimizer

PLAIN_STD = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    name: str
    mup: bool
    reparameterised: bool
    z_loss: bool


VARIANTS = {
    each.name: each
    for each in (
        Variant(name="plain", mup=False, reparameterised=False, z_loss=False),
        Variant(name="mup", mup=True, reparameterised=False, z_loss=False),
        Variant(name="reparam", mup=False, reparameterised=True, z_loss=False),
        Variant(name="z-loss", mup=False, reparameterised=False, z_loss=True),
        Variant(name="all", mup=True, reparameterised=True, z_loss=True),
    )
}


def model_of(variant: Variant, model: Model) -> Model:
    """The recipe's shape with the variant's constants; with every part on it is the recipe's own."""
    if not variant.mup:
        model = replace(model, base_width=model.hidden_size, scale_emb=1.0, residual=math.sqrt(model.layers))
    return model if variant.reparameterised else replace(model, init_std=PLAIN_STD)


def optimizer_of(variant: Variant, optimizer: Optimizer) -> Optimizer:
    return replace(optimizer, mup_lr=variant.mup, z_loss=optimizer.z_loss if variant.z_loss else 0.0)


def build(variant: Variant, model: Model, seed: int) -> Decoder:
    """A decoder at its start. `model` is the variant's own.

    Without re-parameterisation the alphas are 1 and do not learn; what they would hold is in the matrices.
    """
    decoder = Decoder(model)
    own = dict(decoder.named_parameters())
    # gate and up share the alpha that stands behind their norm.
    shared = {"gate_proj": "gate_up_proj", "up_proj": "gate_up_proj"}
    with torch.no_grad():
        for name, value in start_values(model, seed):
            own[name].copy_(value)
        if not variant.reparameterised:
            for p in parameters(model):
                if p.kind == "alpha":
                    own[p.name].fill_(1.0).requires_grad_(False)
                elif p.kind == "matrix":
                    role = p.name.split(".")[-2]
                    own[p.name].mul_(alpha_start(model, f"{shared.get(role, role)}_alpha"))
    return decoder
