"""What is looked at at each step: is it refused, does training go back, and does someone ask to stop.

The rule is a function of the recipe and of what the checkpoint's state holds, so a resume and a replay decide alike. Median
and median deviation, where OLMo-core's SkipStepOptimizer takes mean and standard deviation over 128 steps (it refuses 6 above):
a spike that was let through moves them by one rank, not by its size, and only accepted steps, finite ones, are ever counted.
"""

import math
import signal
import statistics
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType
from typing import Literal

from yulan.errors import TrainError
from yulan.recipe.training import Watch
from yulan.train.checkpoint.state import Watched

Reason = Literal["not finite", "loss", "grad_norm", "told"]

NORMAL = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""


def stands_out(value: float, seen: Sequence[float], limit: float, rule: Watch) -> bool:
    """Whether a value lies more than `limit` spreads above the median of what was seen before."""
    if len(seen) < rule.least:
        return False
    middle = statistics.median(seen)
    spread = NORMAL * statistics.median(abs(each - middle) for each in seen)
    return value - middle > limit * max(spread, rule.floor * middle)


def refusal(rule: Watch, watched: Watched, loss: float, norm: float) -> Reason | None:
    """Why a step is refused before it updates anything; None if it is not."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return "not finite"
    if stands_out(loss, watched.losses, rule.loss, rule):
        return "loss"
    return "grad_norm" if stands_out(norm, watched.norms, rule.grad_norm, rule) else None


def follow(rule: Watch, watched: Watched, step: int, loss: float, norm: float, why: Reason | None) -> Watched:
    """What is known after one more step of the phase. One that the recipe skips leaves no trace."""
    if why == "told":
        return watched
    if why is not None:
        late = tuple(each for each in watched.refused if each > step - rule.within)
        return replace(watched, refused=(*late, step))
    losses, norms = ((*seen, new)[-rule.window :] for seen, new in ((watched.losses, loss), (watched.norms, norm)))
    return replace(watched, losses=losses, norms=norms)


def target(rule: Watch, watched: Watched, step: int, every: int) -> int | None:
    """Step of the phase whose checkpoint training goes back to once `step` was refused; None: it goes on.

    The last one of the schedule before the first of the refused steps, so that it is not one that they led to; but no more
    than one back from the newest. What a signal saved in between does not count: a run that was stopped goes the same way.
    """
    if step not in watched.refused or len(watched.refused) < rule.patience:
        return None
    newest = (step - 1) // every * every
    found = max(0, newest - every, (watched.refused[0] - 1) // every * every)
    # Checkpoints that training once went back behind were removed.
    return found if found >= watched.since else watched.back


def require_patience(rule: Watch, watched: Watched, step: int, loss: float, norm: float) -> None:
    """Raises: TrainError: training went back as often as the recipe allows. `step`: the global one."""
    if watched.rollbacks >= rule.rollbacks:
        raise TrainError(
            f"step {step}: loss {loss}, gradient norm {norm}; {len(watched.refused)} of the last {rule.within} steps refused, "
            f"after going back {watched.rollbacks} times",
            cure="Lower the learning rate or look at the data of those steps, then go on from the last checkpoint",
        )


class Stop:
    """SIGTERM and SIGINT ask to stop at the next step boundary; a second one changes nothing."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
