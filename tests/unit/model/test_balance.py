"""Re-balancing changes the coordinates of the weights, not the function."""

import math

import pytest
import torch

from yulan.model.balance import factors, pairs, powers, rebalance
from yulan.model.decoder import Decoder
from yulan.model.fold import fold
from yulan.model.shape import alpha_start

ODD = 1.37


@pytest.fixture
def drifted(decoder, small):
    """Alphas far from their start, one of them beyond repair."""
    with torch.no_grad():
        for number, pair in enumerate(pairs(small)):
            tensor = dict(decoder.named_parameters())[pair.alpha]
            tensor.fill_(alpha_start(small, pair.alpha) * 1.7 ** (number % 7 - 3))
    return decoder


def moved_by(decoder, by_alpha, small):
    made = Decoder(small)
    state = {name: rebalance(name, "weights", tensor, by_alpha, small) for name, tensor in decoder.state_dict().items()}
    made.load_state_dict(state)
    return made


def loss_of(decoder, pack):
    tokens, positions, ends = pack
    return decoder(tokens, positions, ends, 1e4, "sdpa", tokens.roll(-1), 1e-4).total


def test_every_alpha_comes_back_to_within_a_root_of_two_of_its_start(drifted, small):
    by_alpha = factors(drifted.state_dict(), small)
    after = moved_by(drifted, by_alpha, small).state_dict()
    assert len(set(by_alpha.values())) > 3
    for name in by_alpha:
        assert 2**-0.5 - 1e-6 <= float(after[name]) / alpha_start(small, name) <= 2**0.5 + 1e-6


def test_a_power_of_two_keeps_every_bit_of_function_and_folded_weights(drifted, small, pack):
    after = moved_by(drifted, factors(drifted.state_dict(), small), small)
    assert loss_of(drifted, pack).item().hex() == loss_of(after, pack).item().hex()
    before, now = dict(fold(drifted.state_dict(), small)), dict(fold(after.state_dict(), small))
    # gate and up are not folded: their alpha goes into the norm before them.
    parted = {name for name in now if "gate_proj" in name or "up_proj" in name or "post_attention_layernorm" in name}
    assert all(torch.equal(before[name], now[name]) for name in now.keys() - parted)
    for layer in range(small.layers):
        norm = f"model.layers.{layer}.post_attention_layernorm.weight"
        for role in ("gate", "up"):
            name = f"model.layers.{layer}.mlp.{role}_proj.weight"
            assert torch.equal(before[name] * before[norm], now[name] * now[norm])


def test_any_other_factor_keeps_the_function_within_rounding(drifted, small, pack):
    after = moved_by(drifted, dict.fromkeys(factors(drifted.state_dict(), small), ODD), small)
    assert loss_of(after, pack).item() == pytest.approx(loss_of(drifted, pack).item(), rel=1e-5)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_an_alpha_without_a_positive_drift_is_left_as_it_is(decoder, small, bad):
    with torch.no_grad():
        decoder.model.layers[0].down_proj_alpha.fill_(bad)
    assert factors(decoder.state_dict(), small)["model.layers.0.down_proj_alpha"] == 1.0


def stepped(decoder, pack, moments, lr):
    """Parameters after one AdamW step from given moments, and the moments after it."""
    own = dict(decoder.named_parameters())
    adamw = torch.optim.AdamW(own.values(), lr=lr, betas=(0.9, 0.95), eps=0.0, weight_decay=0.0)
    loss_of(decoder, pack).backward()
    for name, tensor in own.items():
        adamw.state[tensor] = {"step": torch.tensor(5.0), **{kind: value[name].clone() for kind, value in moments.items()}}
    adamw.step()
    kept = {kind: {name: adamw.state[tensor][kind] for name, tensor in own.items()} for kind in moments}
    return {name: tensor.detach() for name, tensor in own.items()}, kept


def test_moments_of_the_new_coordinates_are_those_that_the_old_ones_become(drifted, small, pack):
    """m' = c m and v' = c^2 v before a step stay so after it, bit for bit; the step in W' has the old length, so c times in W."""
    by_alpha = factors(drifted.state_dict(), small)
    after = moved_by(drifted, by_alpha, small)
    names, random = dict(drifted.named_parameters()), torch.Generator().manual_seed(4)
    moments = {
        "exp_avg": {name: 1e-3 * torch.randn(t.shape, generator=random) for name, t in names.items()},
        "exp_avg_sq": {name: 1e-6 + 1e-6 * torch.rand(t.shape, generator=random) for name, t in names.items()},
    }
    carried = {
        kind: {name: rebalance(name, kind, tensor, by_alpha, small) for name, tensor in of.items()}
        for kind, of in moments.items()
    }
    old = {name: tensor.detach().clone() for name, tensor in drifted.named_parameters()}
    new = {name: tensor.detach().clone() for name, tensor in after.named_parameters()}
    ended, kept = stepped(drifted, pack, moments, lr=2.0**-10)
    ended_new, kept_new = stepped(after, pack, carried, lr=2.0**-10)
    for kind, of in kept.items():
        for name, tensor in of.items():
            assert torch.equal(kept_new[kind][name], rebalance(name, kind, tensor, by_alpha, small)), (kind, name)
    for name in powers(by_alpha, small):
        one, other = ended[name] - old[name], ended_new[name] - new[name]
        assert torch.allclose(one, other, rtol=1e-2, atol=2.0**-20), name
