"""Between DeepSpeed's gradient norm and its update: a step that is refused there ends as one whose norm is not finite."""

import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Gate:
    """Under ZeRO 1, 2 and 3; under ZeRO 0 the norm is not DeepSpeed's, and nothing is ever asked."""

    def __init__(self, zero: Any, stage: int) -> None:
        self.accept: Callable[[float], bool] = math.isfinite
        self.refused: float | None = None
        """The norm that was refused in the step that was last taken."""
        if stage == 3:
            groups, combine = zero._get_norm_groups, sys.modules[type(zero).__module__].combine_grad_norm_groups  # type: ignore[attr-defined]
            zero._get_norm_groups = lambda: self._ask(groups(), combine)
        elif stage:
            whole = zero.scaled_global_norm
            zero.scaled_global_norm = lambda: self._ask([whole()], lambda norms: norms[0])[0]

    def open(self, accept: Callable[[float], bool]) -> None:
        """Ask `accept` in the next step."""
        self.accept, self.refused = accept, None

    def _ask(self, norms: list[Tensor], combine: Callable[[list[Tensor]], Tensor]) -> list[Tensor]:
        norm = float(combine(norms))
        if self.accept(norm):
            return norms
        self.refused = norm
        return [torch.full_like(norms[0], math.inf)]
