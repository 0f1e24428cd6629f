"""Released weights against the fp32 masters they were made from, as they are or folded into plain Llama, without torch."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from yulan.model.factors import Factor, factor_of
from yulan.model.shape import shrink
from yulan.recipe.model import Model
from yulan.release.audit.finding import Finding, among
from yulan.release.audit.layouts import weights
from yulan.release.audit.survey import Seen, Survey, spread
from yulan.release.audit.tensors import BLOCK, Tensor, Universal, cast, safetensors
from yulan.schema import structure

PAIRS, SLICES, WIDTH = 4, 4, 1024
"""Revisions that are compared, tensors of each, and numbers of each, from its middle; with --deep all."""
STATE = "checkpoint/state.json"


@dataclass(frozen=True, kw_only=True)
class Masters:
    """What a revision's weights were made from."""

    tensors: Mapping[str, Tensor]
    folded: tuple[bool, float, float] | None
    """(whether the head is the table of embeddings, scale_emb, hidden_states_shrink); null: nobody says."""
    _alphas: dict[str, float] = field(default_factory=dict)

    def factor(self, name: str, plain: bool) -> Factor | None:
        """What the released tensor called `name` is made of; null: nothing that is known."""
        if plain:
            return Factor(source=name, constant=1.0, alphas=()) if name in self.tensors else None
        if self.folded is None:
            return None
        tied, scale_emb, residual = self.folded
        made = factor_of(name, tied=tied, scale_emb=scale_emb, shrink=residual)
        return made if all(each in self.tensors for each in (*made.alphas, *([made.source] if made.source else []))) else None

    def scalar(self, name: str) -> float:
        if name not in self._alphas:
            value = self.tensors[name].values(0, 1)
            self._alphas[name] = math.nan if value is None else float(value[0])
        return self._alphas[name]

    def values(self, made: Factor, first: int, count: int) -> npt.NDArray[np.float32] | None:
        if made.source is None:
            return np.zeros(count, np.float32)
        values = self.tensors[made.source].values(first, count)
        if values is None or (not made.alphas and made.constant == 1.0):
            return values
        # As torch does: the factor is worked out in double precision and rounded once, before the product.
        factor = math.prod((self.scalar(alpha) for alpha in made.alphas), start=made.constant)
        return values * np.float32(factor)


def casts(model: Survey, states: Survey) -> Iterator[Finding]:
    """Released weights are the stated cast of the fp32 master of the same revision, as it is or folded; asked of a sample."""
    if model.repo.kind != "model":
        return
    by_name = {seen.name: seen for seen in states.revisions}
    # A checkpoint's weights are the masters themselves.
    released = [seen for seen in model.revisions if weights(seen.files) and STATE not in seen.files]
    pairs = [(seen, by_name[seen.name]) for seen in released if seen.name in by_name]
    checked = 0
    for seen, there in pairs if model.deep else spread(pairs, PAIRS):
        master = masters(states, there, apart=states is not model)
        theirs = safetensors(model, seen) if master.tensors else {}
        if not theirs:
            continue
        plain = theirs.keys() <= master.tensors.keys()
        if not plain and master.folded is None:
            continue
        if plain and (lost := sorted(master.tensors.keys() - theirs.keys() - {"lm_head.weight"})):
            yield Finding(id="cast", severity="error", where=seen.name, what=f"lacks what its master has: {among(lost)}")
        names = sorted(theirs)
        for name in names if model.deep else spread(names, SLICES):
            checked += 1
            if wrong := _wrong(theirs[name], master, name, plain, model.deep):
                yield Finding(id="cast", severity="error", where=seen.name, what=f"{name} {wrong}")
    if released and not checked:
        what = "no revision has safetensors and an fp32 master that they could be compared with"
        yield Finding(id="cast-unchecked", severity="note", where=model.repo.id, what=what)


def masters(survey: Survey, seen: Seen, *, apart: bool) -> Masters:
    """The fp32 masters of a revision. `apart`: the repository holds states, so that its safetensors are masters too."""
    universal = Universal(survey, seen)
    tensors: Mapping[str, Tensor] = universal if universal or not apart else safetensors(survey, seen)
    return Masters(tensors=tensors, folded=_folding(survey, seen, tensors))


def _folding(survey: Survey, seen: Seen, tensors: Mapping[str, Tensor]) -> tuple[bool, float, float] | None:
    """As the checkpoint's state or a yulanmini's config.json tells."""
    try:
        if STATE in seen.files:
            model = structure(survey.json(seen, STATE)["keys"]["model"], Model)
            return model.tie_embeddings, model.scale_emb, shrink(model)
        told = survey.json(seen, "config.json") or {}
        return "lm_head.weight" not in tensors, float(told["scale_emb"]), float(told["hidden_states_shrink"])
    except Exception:  # strangers' JSON may be anything, and cattrs raises as much
        return None


def _wrong(theirs: Tensor, master: Masters, name: str, plain: bool, deep: bool) -> str | None:
    """How a released tensor differs from what its master makes of it, or null."""
    made = master.factor(name, plain)
    try:
        if made is None or (made.source is not None and master.tensors[made.source].size != theirs.size):
            return "has no master of its size"
        for first, count in _spans(theirs.size, deep):
            own, values = theirs.bits(first, count), master.values(made, first, count)
            if own is None or values is None or not np.array_equal(own, cast(values, theirs.dtype)):
                return "is not the cast of the master's"
    except KeyError:
        return "has no master that can be read"
    return None


def _spans(size: int, deep: bool) -> Iterator[tuple[int, int]]:
    """(first, how many) of the numbers that are compared."""
    if not deep:
        count = min(size, WIDTH)
        yield (size - count) // 2, count
        return
    for first in range(0, size, BLOCK):
        yield first, min(BLOCK, size - first)
