"""What the bits of a training run depend on besides recipe and code, and what may be claimed when that changes."""

from importlib import metadata

from yulan.isa import isa
from yulan.manifest import Determinism
from yulan.profile import Profile
from yulan.train.checkpoint.state import State, Trajectory


def determinism_of(profile: Profile) -> Determinism:
    """The class of this machine under a profile."""
    ranks = None if profile.reduction == "exact" else profile.processes
    kind = isa()
    if profile.device == "cuda":
        import torch

        kind = torch.cuda.get_device_name() if torch.cuda.is_available() else kind
    return Determinism(isa=kind, threads=profile.threads, ranks=ranks, torch=metadata.version("torch"))


def class_after(state: State, determinism: Determinism) -> Trajectory:
    """EXACT while every step of the path ran under one class."""
    return "EXACT" if state.trajectory == "EXACT" and state.determinism in (None, determinism) else "CLOSE"
