"""Re-balancing: a matrix and the alpha in front of it trade a factor, and the function stays as it was.

W' = W/c, alpha' = c alpha; biases of q, k and v lie inside the product and go with W; gate and up share one alpha, so
one c. A gradient transforms the other way round, and AdamW's moments with it: c m and c^2 v for W, m/c and v/c^2 for alpha.

c is the power of two nearest to start/alpha: each alpha comes back to within sqrt(2) of where it started, and, since
such a factor moves no bit of a mantissa, every product that forward uses is bit-equal. So are the folded weights, but
for gate, up and the norm before them: the alpha those share is folded into the norm, so they trade c once more.
What does not stay is the next step: AdamW moves each number by about the learning rate whatever its size, so the same
direction in W' is a step c times as long in the product W alpha. Decay, which is a part of a weight, is not touched.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from yulan.model.shape import alpha_start
from yulan.recipe.model import Model

POWERS = {"weights": -1, "exp_avg": 1, "exp_avg_sq": 2}
"""Exponent of c for the matrices and biases of each set of tensors; an alpha has the opposite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An alpha and what it multiplies."""

    alpha: str
    scaled: tuple[str, ...]


def pairs(model: Model) -> Iterator[Pair]:
    """Every alpha that stands before a matrix; those of norms and of the head keep their part."""
    for index in range(model.layers):
        at = f"model.layers.{index}"
        for name in ("q", "k", "v"):
            own = f"{at}.self_attn.{name}_proj"
            yield Pair(alpha=f"{own}_alpha", scaled=(f"{own}.weight", f"{own}.bias"))
        yield Pair(alpha=f"{at}.self_attn.o_proj_alpha", scaled=(f"{at}.self_attn.o_proj.weight",))
        both = (f"{at}.mlp.gate_proj.weight", f"{at}.mlp.up_proj.weight")
        yield Pair(alpha=f"{at}.gate_up_proj_alpha", scaled=both)
        yield Pair(alpha=f"{at}.down_proj_alpha", scaled=(f"{at}.mlp.down_proj.weight",))


def factors(weights: Mapping[str, Tensor], model: Model) -> dict[str, float]:
    """c of each pair, by the name of its alpha; 1 where an alpha is 0, has changed its sign or is not finite."""
    return {pair.alpha: _factor(float(weights[pair.alpha].item()), alpha_start(model, pair.alpha)) for pair in pairs(model)}


def _factor(alpha: float, start: float) -> float:
    drift = alpha / start
    return 2.0 ** -round(math.log2(drift)) if math.isfinite(drift) and drift > 0 else 1.0


def rebalance(name: str, kind: str, tensor: Tensor, by_alpha: Mapping[str, float], model: Model) -> Tensor:
    """A tensor of one set (`weights`, `exp_avg` or `exp_avg_sq`) in the new coordinates; others come back as they are."""
    power = powers(by_alpha, model).get(name)
    return tensor if power is None else tensor * power ** POWERS[kind]


def powers(by_alpha: Mapping[str, float], model: Model) -> dict[str, float]:
    """By tensor: what its weights are divided by. An alpha is divided by 1/c."""
    found: dict[str, float] = {}
    for pair in pairs(model):
        found |= dict.fromkeys(pair.scaled, by_alpha[pair.alpha])
        found[pair.alpha] = 1.0 / by_alpha[pair.alpha]
    return found
