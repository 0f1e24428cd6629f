"""A copy of a checkpoint in re-balanced coordinates, and the proof that it is one. The original stays beside it."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from yulan import manifest
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST
from yulan.model.balance import POWERS, factors, rebalance
from yulan.model.shape import parameters
from yulan.train.checkpoint.read import Checkpoint, read_checkpoint, read_whole
from yulan.train.checkpoint.shrink import require_new
from yulan.train.checkpoint.write import Origin, write_checkpoint

FACTORS = "rebalanced"
"""Key of the manifest's summary: c by the name of its alpha."""


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
    rows = parameters(found.model)
    weights = {row.name: found.tensor(row.name) for row in rows if row.kind == "alpha"}
    by_alpha = factors(weights, found.model)

    def fragment(name: str, kind: str) -> tuple[int, Tensor]:
        return 0, rebalance(name, kind, found.tensor(name, kind), by_alpha, found.model).reshape(-1)

    changed = {name: c for name, c in by_alpha.items() if c != 1.0}
    origin = Origin(inputs={"checkpoint": manifest.read(folder / MANIFEST).digest}, summary={FACTORS: changed})
    write_checkpoint(into, found.state, rows, fragment, origin=origin)
    return by_alpha


def require_rebalanced(parent: Path, made: Path) -> None:
    """Hold every tensor of `made` to the parent's and the recorded factors, bit for bit.

    Raises: IntegrityError: it is not that parent's, the factors are not those its alphas ask for, or a tensor differs.
    """
    told = manifest.read(made / MANIFEST)
    one, other = read_checkpoint(parent), read_checkpoint(made)
    if told.inputs.get("checkpoint") != manifest.read(parent / MANIFEST).digest or FACTORS not in told.summary:
        raise IntegrityError("is no re-balancing of that checkpoint", where=made, cure="Name the checkpoint it was made from")
    if wrong := list(_differences(one, other, dict(told.summary[FACTORS]))):
        raise IntegrityError(
            f"{len(wrong)} tensors do not follow from the parent's by the recorded factors",
            where=made,
            cure="Do not train on from it; re-balance the parent again",
            evidence=wrong,
        )


def _differences(one: Checkpoint, other: Checkpoint, changed: dict[str, float]) -> Iterator[str]:
    rows = parameters(one.model)
    wanted = factors({row.name: one.tensor(row.name) for row in rows if row.kind == "alpha"}, one.model)
    yield from (f"factor of {name}" for name in sorted(wanted) if changed.get(name, 1.0) != wanted[name])
    for kind in POWERS:
        for row in rows:
            expected = rebalance(row.name, kind, one.tensor(row.name, kind), wanted, one.model)
            if not torch.equal(expected.view(torch.int32), other.tensor(row.name, kind).view(torch.int32)):
                yield f"{kind} of {row.name}"
