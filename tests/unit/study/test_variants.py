"""Each part of the start can be switched alone; with all of them on it is the recipe's own."""

from pathlib import Path

import pytest
import torch

from yulan.model.decoder import Decoder
from yulan.model.init import initialise
from yulan.recipe import Recipe, read_recipe
from yulan.study.variants import VARIANTS, build, model_of, optimizer_of

NANO: Recipe = read_recipe(Path(__file__).resolve().parents[3] / "recipes" / "nano" / "recipe.yaml")


def test_all_parts_together_are_the_recipes_own_start():
    variant = VARIANTS["all"]
    assert model_of(variant, NANO.model) == NANO.model
    assert optimizer_of(variant, NANO.optimizer) == NANO.optimizer
    own = Decoder(NANO.model)
    initialise(own, NANO.model, seed=3)
    made = build(variant, NANO.model, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), made.parameters(), strict=True))


@pytest.mark.parametrize(("name", "q", "down"), [("plain", 0.02, 0.02 / 12**0.5), ("mup", 0.02 / 2**0.5, 0.02 / 24**0.5)])
def test_without_alphas_their_scale_lies_in_the_matrices(name: str, q: float, down: float):
    built = build(VARIANTS[name], model_of(VARIANTS[name], NANO.model), seed=1)
    made = {key: tensor.detach() for key, tensor in built.named_parameters()}
    learned = {key for key, tensor in built.named_parameters() if tensor.requires_grad}
    assert float(made["model.layers.0.self_attn.q_proj.weight"].std()) == pytest.approx(q, rel=0.03)
    assert float(made["model.layers.0.mlp.down_proj.weight"].std()) == pytest.approx(down, rel=0.03)
    alphas = {key for key in made if key.endswith("_alpha")}
    assert alphas
    assert not alphas & learned
    assert all(float(made[key]) == 1.0 for key in alphas)


def test_a_part_alone_changes_only_itself():
    assert optimizer_of(VARIANTS["z-loss"], NANO.optimizer).z_loss == NANO.optimizer.z_loss
    assert optimizer_of(VARIANTS["reparam"], NANO.optimizer).z_loss == 0
    assert not optimizer_of(VARIANTS["reparam"], NANO.optimizer).mup_lr
    assert model_of(VARIANTS["z-loss"], NANO.model) == model_of(VARIANTS["plain"], NANO.model)
    assert model_of(VARIANTS["reparam"], NANO.model).init_std == NANO.model.init_std
