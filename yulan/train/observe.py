"""A look inside the model every few steps: how large things are where a training breaks first.

The YuLan-Mini report (arXiv 2412.17743) traces instability to the growth of the residual stream and of what RMSNorm is given,
and to attention scores that explode. Nothing here touches the training: hidden states come from a forward pass of its own,
without gradient, over one window of the step; the rest from weights and moments before and after the update.
Legend: T positions, N query heads, K key/value heads, H head width.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from yulan.data.batch import Micro
from yulan.model.shape import Parameter
from yulan.train.checkpoint.stream import KINDS
from yulan.train.engine import Engine
from yulan.train.log import finite

SCORES = 1 << 22
"""Attention scores in memory at a time."""
QUANTITIES = 3
"""Gradient, update, weights."""
BITS, CHUNK = 18, 1 << 16
"""A number as it is squared, in the largest one's; numbers whose squares are summed at a time, exactly: 2 x 18 + 16 < 53."""
CARRY = 30
"""Bits of a sum that go into the first of two integers."""


def role(parameter: Parameter) -> str:
    """What is summed up over the layers: a matrix or table by its name, the small ones by their kind."""
    return parameter.name.split(".")[-2] if parameter.kind in ("matrix", "embedding") else parameter.kind


def roles(engine: Engine) -> list[str]:
    return list(dict.fromkeys(role(p) for p in engine.parameters))


def own(engine: Engine, name: str, kind: str) -> Tensor:
    """This rank's numbers of all parameters of a role, one after the other; a copy."""
    pieces = [engine.fragment(p.name, kind) for p in engine.parameters if role(p) == name]
    numbers = [piece[1] for piece in pieces if piece is not None]
    return torch.cat(numbers) if numbers else torch.empty(0, device=engine.device)


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """This rank's weights and first moments before an update, in host memory: 8 bytes a number of its partition."""

    numbers: dict[tuple[str, str], Tensor]
    """By role and set."""

    @classmethod
    def of(cls, engine: Engine) -> "Before":
        return cls(numbers={(name, kind): own(engine, name, kind).cpu() for name in roles(engine) for kind in KINDS[:2]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a forward pass shows, layer by layer."""

    hidden: list[Tensor] = field(default_factory=list)
    """RMS of what each layer's first norm is given, and the last norm: the hidden states before, between and after layers."""
    middle: list[Tensor] = field(default_factory=list)
    """RMS of what each layer's second norm is given."""
    scores: list[Tensor] = field(default_factory=list)
    """Largest attention score before softmax."""


def _rms(x: Tensor) -> Tensor:
    return x.float().square().mean().sqrt()


def largest_score(q_TNH: Tensor, k_TKH: Tensor, bounds: list[int]) -> Tensor:
    """Over all pairs that attention sees: inside a document, none later than the query. Scaled by 1 / sqrt(H)."""
    heads, found = q_TNH.shape[1] // k_TKH.shape[1], []
    for start, end in pairwise(bounds):
        k_NHT = k_TKH[start:end].float().repeat_interleave(heads, 1).permute(1, 2, 0)
        rows = max(1, SCORES // (q_TNH.shape[1] * (end - start)))
        for low in range(start, end, rows):
            high = min(end, low + rows)
            scores = q_TNH[low:high].float().transpose(0, 1) @ k_NHT[..., : high - start]
            later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(low - start + 1)
            found.append(scores.masked_fill_(later, -math.inf).max())
    return torch.stack(found).max() / math.sqrt(q_TNH.shape[-1])


@torch.no_grad()
def look_forward(engine: Engine, micro: Micro) -> Seen:
    """Run the micro-batch's first window. Under ZeRO-3 every rank calls it, since each holds a part of every weight."""
    seen, body, context = Seen(), engine.engine.module.model, micro.targets.shape[1]
    bounds = [*(int(each) for each in micro.cu_seqlens if each < context), context]

    def wrap(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        x, turns, attend = given

        def attended(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            seen.scores.append(largest_score(q, k, bounds))
            out: Tensor = attend(layer, q, k, v)
            return out

        return x, turns, attended

    def note(into: list[Tensor]) -> Any:
        return lambda _, given: into.append(_rms(given[0]))

    hooks = [body.norm.register_forward_pre_hook(note(seen.hidden))]
    for layer in body.layers:
        hooks.append(layer.input_layernorm.register_forward_pre_hook(note(seen.hidden)))
        hooks.append(layer.post_attention_layernorm.register_forward_pre_hook(note(seen.middle)))
        hooks.append(layer.self_attn.register_forward_pre_hook(wrap))
    # A compiled module does not see hooks that were added later.
    eager = torch.compiler.set_stance("force_eager") if engine.device.type == "cuda" else contextlib.nullcontext()
    engine.engine.module.eval()
    try:
        with eager:
            engine.engine.module(
                torch.from_numpy(micro.inputs[0]).to(engine.device),
                torch.from_numpy(micro.positions[0]).to(engine.device),
                torch.tensor(bounds, dtype=torch.int32, device=engine.device),
                engine.phase.rope_theta,
                engine.profile.attention,
            )
    finally:
        engine.engine.module.train()
        for hook in hooks:
            hook.remove()
    return seen


def norms(parts: Callable[[], Iterable[tuple[int, Tensor]]], count: int, device: Any) -> list[float]:
    """Euclidean norms of `count` sets of numbers over all ranks; inf if one is not finite. Every rank calls it.

    `parts` gives what this rank has of each, (set, fp32 with one axis), and is gone through twice. Numbers are rounded to
    2^-18 of their set's largest, so that their squares are integers and the sum knows no order and no ranks.
    """
    top = torch.zeros(count, dtype=torch.float64, device=device)
    for index, numbers in parts():
        if len(numbers):
            low, high = torch.aminmax(numbers)
            top[index] = torch.maximum(-low, high).double().nan_to_num(math.inf, math.inf)
    dist.all_reduce(top, op=dist.ReduceOp.MAX)
    tops = top.tolist()
    # No power of two beyond fp32's; numbers below 1e-32 lose bits by it.
    shifts = [min(126, BITS - math.frexp(each)[1]) if math.isfinite(each) else 0 for each in tops]
    sums = torch.zeros((count, 2), dtype=torch.int64, device=device)
    for index, numbers in parts():
        for part in (numbers * math.ldexp(1.0, shifts[index])).round_().split(CHUNK) if math.isfinite(tops[index]) else ():
            whole = part.double()
            square = whole.dot(whole).long()
            sums[index, 0] += square & ((1 << CARRY) - 1)
            sums[index, 1] += square >> CARRY
    dist.all_reduce(sums)
    found = zip(tops, shifts, sums.tolist(), strict=True)
    return [
        math.ldexp(math.sqrt((upper << CARRY) + lower), -shift) if math.isfinite(each) else math.inf
        for each, shift, (lower, upper) in found
    ]


def look_at_update(engine: Engine, before: Before, norm: float) -> dict[str, dict[str, float | None]]:
    """Norms by role, over all ranks and equal for any number of them. Every rank calls it.

    A gradient is read back from the first moment, (m' - beta1 m) / (1 - beta1), and what clipping took from it is given
    back: so it is to be had under every ZeRO stage and with offloaded states, with a relative error of some 1e-6.
    """
    beta, clip = engine.recipe.optimizer.beta1, engine.recipe.optimizer.clip
    scale = max(1.0, (norm + 1e-6) / clip) / (1.0 - beta)
    names = roles(engine)

    def parts() -> Iterator[tuple[int, Tensor]]:
        for index, name in enumerate(names):
            weights, moment = (own(engine, name, kind) for kind in KINDS[:2])
            old = before.numbers[name, KINDS[0]].to(weights.device)
            yield QUANTITIES * index, moment.sub_(before.numbers[name, KINDS[1]].to(moment.device), alpha=beta).mul_(scale)
            yield QUANTITIES * index + 1, weights.sub_(old)
            yield QUANTITIES * index + 2, old

    found = norms(parts, QUANTITIES * len(names), engine.device)
    told = {}
    for index, name in enumerate(names):
        gradient, update, weights = found[QUANTITIES * index : QUANTITIES * (index + 1)]
        told[name] = {
            "grad_norm": finite(gradient),
            "weight_norm": finite(weights),
            "update_ratio": finite(update / weights) if weights else None,
        }
    return told


def alphas(engine: Engine) -> dict[str, list[float | None]]:
    """Learnable scalars by name, layer by layer. Every rank calls it."""
    names = [p.name for p in engine.parameters if p.kind == "alpha"]
    values = torch.zeros(len(names), dtype=torch.float64, device=engine.device)
    for index, name in enumerate(names):
        piece = engine.fragment(name, KINDS[0])
        if piece is not None and len(piece[1]):
            values[index] = piece[1][0]
    # One rank has the number, the others add zero.
    dist.all_reduce(values)
    told: dict[str, list[float | None]] = {}
    for name, value in zip(names, values.tolist(), strict=True):
        told.setdefault(name.split(".")[-1], []).append(finite(value))
    return told


@torch.no_grad()
def look(engine: Engine, micro: Micro, before: Before, step: int, norm: float, updated: bool) -> dict[str, Any]:
    """A row of watch.jsonl after a step; rank 0's counts, and `micro` is to be its first. Every rank calls it.

    `norm`: of the step's gradient. A step that was skipped has no gradient to read back, and no update.
    """
    forward = look_forward(engine, micro) if engine.profile.zero == 3 or dist.get_rank() == 0 else Seen()
    groups = look_at_update(engine, before, norm) if updated else None
    shown = {
        name: [finite(each) for each in torch.stack(values).tolist()] if values else []
        for name, values in (("hidden_rms", forward.hidden), ("middle_rms", forward.middle), ("score_max", forward.scores))
    }
    return {"step": step, **shown, "groups": groups, "alphas": alphas(engine)}
