"""Parameters that AdamW treats alike, in the order that trainer and exports share."""

from dataclasses import dataclass

from yulan.model.shape import Parameter, lr_multiplier, parameters, weight_decay
from yulan.recipe.model import Model
from yulan.recipe.training import Optimizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Parameters that share a learning rate and a weight decay."""

    multiplier: float
    """Of the scheduled rate."""
    weight_decay: float
    parameters: tuple[Parameter, ...]


def groups_of(model: Model, optimizer: Optimizer) -> tuple[Group, ...]:
    found: dict[tuple[float, float], list[Parameter]] = {}
    for p in parameters(model):
        found.setdefault((lr_multiplier(p.kind, model, optimizer), weight_decay(p.kind, optimizer)), []).append(p)
    return tuple(Group(multiplier=lr, weight_decay=decay, parameters=tuple(of)) for (lr, decay), of in found.items())
