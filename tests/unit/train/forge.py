"""Publishers who did something else than they say: each changes one thing while training, and none of what they report.

Batch digests, learning rate and cursor in logs and checkpoints are those of the honest run, so only what the training
itself does to losses, norms and states can give them away.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from yulan import files
from yulan.data.batch import Batches, Micro
from yulan.data.order import Order, order_key
from yulan.model.shape import parameters
from yulan.recipe import Recipe
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.engine import Engine

AT = 2
"""Steps after the start at which a batch is dropped or swapped with the next."""
OTHER_SEED = 424_242


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Disguised(Micro):
    """Other tokens under the digest of the honest ones."""

    told: str

    @property
    def digest(self) -> str:
        return self.told


@contextlib.contextmanager
def other_data(choose: Callable[[Batches, int], tuple[Batches, int]]) -> Iterator[None]:
    honest = Batches.micros

    def micros(self: Batches, consumed: int, indices: range) -> list[Micro]:
        batches, place = choose(self, consumed)
        made = zip(honest(self, consumed, indices), honest(batches, place, indices), strict=True)
        names = [each.name for each in fields(Micro)]
        return [Disguised(told=told.digest, **{name: getattr(other, name) for name in names}) for told, other in made]

    with patch.object(Batches, "micros", micros):
        yield


def dropped(begin: int) -> contextlib.AbstractContextManager[None]:
    """`begin`: steps of the phase before the stretch."""
    return other_data(lambda b, consumed: (b, consumed + b.batch * (consumed >= (begin + AT) * b.batch)))


def swapped(begin: int) -> contextlib.AbstractContextManager[None]:
    def choose(batches: Batches, consumed: int) -> tuple[Batches, int]:
        step = consumed // batches.batch - begin
        other = {AT: AT + 1, AT + 1: AT}.get(step, step)
        return batches, (begin + other) * batches.batch

    return other_data(choose)


def other_seed(begin: int) -> contextlib.AbstractContextManager[None]:
    key = order_key("5" * 64, OTHER_SEED)
    return other_data(lambda b, consumed: (replace(b, order=Order(windows=b.pack.windows, key=key)), consumed))


@contextlib.contextmanager
def _engine(name: str, change: Callable[[Engine, tuple[Any, ...]], tuple[Any, ...]], after: bool = False) -> Iterator[None]:
    honest = getattr(Engine, name)

    def forged(self: Engine, *given: Any) -> Any:
        if not after:
            return honest(self, *change(self, given))
        done = honest(self, *given)
        change(self, given)
        return done

    with patch.object(Engine, name, forged):
        yield


def faster(factor: float) -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """Learning rate x `factor`."""
    return lambda begin: _engine("step", lambda engine, given: (given[0] * factor, *given[1:]))


def other_beta2(begin: int) -> contextlib.AbstractContextManager[None]:
    def change(engine: Engine, given: tuple[Any, ...]) -> tuple[Any, ...]:
        for group in engine.adamw.param_groups:
            group["betas"] = (group["betas"][0], 0.96)
        return given

    return _engine("load", change, after=True)


def zeroed(begin: int) -> contextlib.AbstractContextManager[None]:
    @torch.no_grad()
    def change(engine: Engine, given: tuple[Any, ...]) -> tuple[Any, ...]:
        for state in engine.adamw.state.values():
            state["exp_avg"].zero_()
            state["exp_avg_sq"].zero_()
        return given

    return _engine("load", change, after=True)


def honest(begin: int) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


TRAINING: dict[str, Callable[[int], contextlib.AbstractContextManager[None]]] = {
    "dropped batch": dropped,
    "swapped batches": swapped,
    "lr x 1.01": faster(1.01),
    "another seed": other_seed,
    "another beta2": other_beta2,
    "zeroed moments": zeroed,
}
FORGED_END = "forged end"


def forge_end(checkpoint: Path, recipe: Recipe, factor: float | None = None) -> None:
    """Write a checkpoint again, sealed as it should be, with one matrix times `factor`, or one number of it times 1.001."""
    found, parts = read_checkpoint(checkpoint), parameters(recipe.model)
    target = "model.layers.1.self_attn.q_proj.weight"
    changed = {
        (p.name, kind): found.tensor(p.name, kind).clone().view(-1)
        for p in parts
        for kind in ("weights", "exp_avg", "exp_avg_sq")
    }
    matrix = changed[target, "weights"]
    matrix[slice(None) if factor else 5] *= factor or 1.001
    state = found.state
    files.remove(checkpoint)
    write_checkpoint(checkpoint, state, parts, lambda name, kind: (0, changed[name, kind]))
