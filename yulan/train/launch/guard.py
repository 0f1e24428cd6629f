"""Die with the parent: a killed `dvc repro`, stage or launcher leaves no process behind."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def ask_kernel() -> None:
    """SIGKILL this process when its parent dies. It survives exec, so a child can be armed before it runs anything."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_parent() -> None:
    """Ask the kernel, then look whether the parent died meanwhile."""
    parent = os.getppid()
    ask_kernel()
    if os.getppid() != parent:
        os._exit(1)
