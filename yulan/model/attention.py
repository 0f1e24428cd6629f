"""Causal attention inside documents that are packed one after the other, behind one signature for CPU and GPU.

Legend: T packed positions, N query heads, K key/value heads, H head width.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from yulan.errors import StateError

Kernel = Literal["sdpa", "flash", "flash3"]

PACKAGES = {"flash": "flash_attn", "flash3": "flash_attn_interface"}
"""Modules of flash-attention 2 and 3; both call it `flash_attn_varlen_func`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """Where documents begin and end in T packed positions; made once for a forward pass, used by every layer."""

    cu_seqlens: Tensor
    """int32 (documents + 1,): offsets, from 0 to T."""
    longest: int
    runs: tuple[tuple[int, int], ...]
    """(documents, length) of each run of neighbours that are equally long."""

    @classmethod
    def of(cls, cu_seqlens: Tensor, device: torch.device | None = None) -> "Documents":
        """Offsets on the CPU are read without waiting for a GPU; `device` is where the kernel wants them."""
        ends = cu_seqlens.tolist()
        lengths = [end - start for start, end in pairwise(ends) if end > start]
        runs = tuple((len(list(same)), length) for length, same in groupby(lengths))
        return cls(cu_seqlens=cu_seqlens.to(device), longest=max(lengths), runs=runs)


def attend(q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, documents: Documents, kernel: Kernel) -> Tensor:
    """Scaled by 1 / sqrt(H); no position sees another document or its own future.

    Returns: (T, N, H). The flash kernels want half precision on a GPU.
    Raises: StateError: a flash kernel without its package.
    """
    if kernel == "sdpa":
        return _sdpa(q_TNH, k_TKH, v_TKH, documents.runs)
    edges, longest = documents.cu_seqlens, documents.longest
    # Deterministic: otherwise backward adds up in the order in which blocks happen to end, and a resumed run is another one.
    out = flash(kernel)(q_TNH, k_TKH, v_TKH, edges, edges, longest, longest, causal=True, deterministic=True)
    # Early releases of flash-attention 3 return the logsumexp as well.
    found: Tensor = out[0] if isinstance(out, tuple) else out
    return found


@cache
def flash(kernel: Kernel) -> Callable[..., Any]:
    """Raises: StateError: its package is not installed."""
    try:
        found: Callable[..., Any] = importlib.import_module(PACKAGES[kernel]).flash_attn_varlen_func
    except ImportError as error:
        raise StateError(
            f"attention `{kernel}` needs the package {PACKAGES[kernel]}, which is not installed",
            where="profile attention",
            cure="See docs/guides/gpu.md for how it is installed, or choose a profile with `attention: sdpa`",
        ) from error
    return found


def _sdpa(q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, runs: Sequence[tuple[int, int]]) -> Tensor:
    """One causal call per run: 230 ms where one block-masked call takes 1,456 (4,096 positions, two cores)."""
    # split, not slices: the gradient of a slice is a zero tensor of the whole pack, one for each document.
    sizes = [documents * length for documents, length in runs]
    packs = zip(runs, q_TNH.split(sizes), k_TKH.split(sizes), v_TKH.split(sizes), strict=True)
    parts = [_causal(*(x.unflatten(0, run) for x in pack)).flatten(0, 1) for run, *pack in packs]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])
    return out.transpose(1, 2)
