"""A copy of a checkpoint in re-balanced coordinates, and the proof that it is one. The original stays beside it.

A phase may begin with one: its first checkpoint then says the phase's name and zero steps of it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from yulan import manifest
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST
from yulan.model.balance import POWERS, factors, rebalance
from yulan.model.shape import parameters
from yulan.schema import plain
from yulan.train.checkpoint.read import Checkpoint, read_checkpoint, read_whole
from yulan.train.checkpoint.scan import require_whole
from yulan.train.checkpoint.shrink import require_new
from yulan.train.checkpoint.state import State
from yulan.train.checkpoint.write import Origin, write_checkpoint

FACTORS = "rebalanced"
"""Key of the manifest's summary: c by the name of its alpha."""
PARENT = "checkpoint"
"""Key of the manifest's inputs: content digest of the checkpoint it was made from."""
CARRIED = ("global_step", "tokens", "skipped", "adam_step", "lr", "rng", "chain", "trajectory", "fresh_optimizer", "determinism")
"""Parts of state.json that are the parent's. A phase begins with its own keys, and a cursor at its first window."""


def rebalance_checkpoint(folder: Path, into: Path) -> dict[str, float]:
    """Write `into`: the same state, its weights and moments in new coordinates; the manifest tells the factors and the parent.

    Training on from it is EXACT in itself, but not the trajectory that the parent would have gone on with.

    Returns: c by the name of its alpha.
    Raises: IntegrityError: the checkpoint is not whole; StateError: it holds no fp32 moments, or `into` is there already.
    """
    require_new(into)
    found = read_whole(folder)
    narrow = {row.dtype for (kind, _), row in found.rows.items() if kind in POWERS} - {"F32"}
    if not found.has_moments or narrow:
        raise StateError(
            "only a checkpoint with fp32 moments can be re-balanced", where=folder, cure="Name one that training wrote"
        )
    return _write(found, into, found.state, moments=True)


def begin_rebalanced(parent: Path, into: Path, state: State) -> dict[str, float]:
    """Write `into`, the first checkpoint of the phase that `state` begins, from the last one of its parent.

    Moments of fewer bits are widened. None are written where `state` counts no update: the phase begins without.

    Returns: c by the name of its alpha.
    Raises: IntegrityError: the parent is not whole; ResourceError: no space.
    """
    require_whole(parent)
    found = read_checkpoint(parent)
    return _write(found, into, state, moments=found.has_moments and state.adam_step > 0)


def _write(found: Checkpoint, into: Path, state: State, *, moments: bool) -> dict[str, float]:
    rows = parameters(found.model)
    weights = {row.name: found.tensor(row.name) for row in rows if row.kind == "alpha"}
    by_alpha = factors(weights, found.model)

    def fragment(name: str, kind: str) -> tuple[int, Tensor]:
        return 0, rebalance(name, kind, found.tensor(name, kind), by_alpha, found.model).reshape(-1)

    changed = {name: c for name, c in by_alpha.items() if c != 1.0}
    origin = Origin(inputs={PARENT: manifest.read(found.folder / MANIFEST).digest}, summary={FACTORS: changed})
    write_checkpoint(into, state, rows, fragment, moments="fp32" if moments else None, origin=origin)
    return by_alpha


def stated(folder: Path) -> Mapping[str, float] | None:
    """c of each alpha that moved, as the checkpoint's manifest states it; None where it states no re-balancing."""
    told: Mapping[str, float] | None = manifest.read(folder / MANIFEST).summary.get(FACTORS)
    return told


def made_from(folder: Path) -> str | None:
    """Content digest of the checkpoint that this one was made from; None where it is a run's own."""
    return manifest.read(folder / MANIFEST).inputs.get(PARENT)


def require_rebalanced(parent: Path, made: Path) -> None:
    """Hold every tensor of `made` to the parent's and the recorded factors, bit for bit, and its state to the parent's.

    Raises: IntegrityError: it is not that parent's, the factors are not those its alphas ask for, or a tensor differs.
    """
    one, other, factors_told = read_checkpoint(parent), read_checkpoint(made), stated(made)
    if made_from(made) != manifest.read(parent / MANIFEST).digest or factors_told is None:
        raise IntegrityError("is no re-balancing of that checkpoint", where=made, cure="Name the checkpoint it was made from")
    if wrong := list(_differences(one, other, factors_told)):
        raise IntegrityError(
            f"{len(wrong)} tensors or values do not follow from the parent's by the recorded factors",
            where=made,
            cure="Do not train on from it; re-balance the parent again",
            evidence=wrong,
        )


def _differences(one: Checkpoint, other: Checkpoint, changed: Mapping[str, float]) -> Iterator[str]:
    fresh = other.state.fresh_optimizer and not one.state.fresh_optimizer
    told = [plain(each.state) for each in (one, other)]
    parts = [name for name in CARRIED if not (fresh and name in ("adam_step", "fresh_optimizer"))]
    yield from (f"{name} of state.json" for name in parts if told[0][name] != told[1][name])
    rows = parameters(one.model)
    wanted = factors({row.name: one.tensor(row.name) for row in rows if row.kind == "alpha"}, one.model)
    yield from (f"factor of {name}" for name in sorted(wanted) if changed.get(name, 1.0) != wanted[name])
    for kind in POWERS if other.has_moments or (one.has_moments and not fresh) else ("weights",):
        for row in rows:
            expected = rebalance(row.name, kind, one.tensor(row.name, kind), wanted, one.model)
            if not torch.equal(expected.view(torch.int32), other.tensor(row.name, kind).view(torch.int32)):
                yield f"{kind} of {row.name}"
