"""A rank's own GPU, and whether what the profile asks of it is installed."""

import os

import torch

from yulan.errors import ResourceError
from yulan.model.attention import flash
from yulan.model.kernels import choose
from yulan.profile import Profile


def take_device(profile: Profile) -> None:
    """Make the GPU of this process the current one; nothing on a CPU.

    Raises: ResourceError: torch does not find it; StateError: a kernel is not installed.
    """
    if profile.device == "cuda":
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= there:
            raise ResourceError(
                f"a process has no GPU of its own: it is number {local}, and torch {torch.__version__} finds {there}",
                where="profile device",
                cure="Choose a profile with `device: cpu`, or install the CUDA build of torch (docs/guides/gpu.md)",
            )
        torch.cuda.set_device(local)
    choose(profile.fused)
    if profile.attention != "sdpa":
        flash(profile.attention)
