"""What is looked at after each step: is it finite, and does someone ask to stop."""

import math
import signal
from types import FrameType

from yulan.errors import TrainError

PATIENCE = 3
"""Skipped steps in a row that end a run."""


class Watch:
    """Counts steps that were not finite."""

    def __init__(self) -> None:
        self.bad = 0

    def skipped(self, step: int, loss: float, norm: float) -> bool:
        """Whether the step updated nothing, since its gradient was not finite.

        Raises: TrainError: the third such step in a row, or a loss that is not finite under a finite gradient.
        """
        if math.isfinite(norm) and math.isfinite(loss):
            self.bad = 0
            return False
        self.bad += 1
        if math.isfinite(norm) or self.bad >= PATIENCE:
            raise TrainError(
                f"step {step}: loss {loss}, gradient norm {norm}; {self.bad} such steps in a row",
                cure="Lower the learning rate or look at the data of that step, then go on from the last checkpoint",
            )
        return True


class Stop:
    """SIGTERM and SIGINT ask to stop at the next step boundary; a second one changes nothing."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
