"""Go on when a hub was away for a while. What is done here may be done twice: every step looks first at what is there."""

import time
from collections.abc import Callable
from typing import TypeVar

from yulan.release.hub import Away
from yulan.release.progress import Say, duration

PATIENCE = 900.0
"""Seconds that one step may wait in all; then the command ends, and the same command goes on."""
LONGEST = 60.0
"""Seconds of the longest pause, unless the hub asks for more."""
Result = TypeVar("Result")


def persist(work: Callable[[], Result], say: Say, patience: float, sleep: Callable[[float], object] = time.sleep) -> Result:
    """Do `work`; when the hub is away, overloaded or broken, again after 1, 2, 4 ... s, or after what it asks to wait.

    Raises: HubError: refused, or away for longer than `patience`, in seconds.
    """
    pause, waited = 1.0, 0.0
    while True:
        try:
            return work()
        except Away as error:
            wait = max(error.pause or 0.0, pause)
            if waited + wait > patience:
                raise
            say(f"{error.where}: {error.what}; trying again in {duration(wait)}")
            sleep(wait)
            waited, pause = waited + wait, min(2 * pause, LONGEST)
