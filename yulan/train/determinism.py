"""What the bits of a training run depend on besides recipe and code, and what may be claimed when that changes."""

from importlib import metadata

from yulan.isa import isa
from yulan.manifest import Determinism
from yulan.profile import Profile
from yulan.train.checkpoint.state import State, Trajectory


def determinism_of(profile: Profile) -> Determinism:
    """The class of this machine under a profile."""
    exact = profile.reduction == "exact"
    kind = isa()
    if profile.device == "cuda":
        import torch

        kind = torch.cuda.get_device_name() if torch.cuda.is_available() else kind
    return Determinism(
        isa=kind,
        threads=profile.threads,
        ranks=None if exact else profile.processes,
        torch=metadata.version("torch"),
        zero=None if exact else profile.zero,
        precision=profile.precision,
        attention=profile.attention,
    )


def words(told: Determinism) -> str:
    """The class as a person reads it."""
    sums = "any number of ranks" if told.ranks is None else f"{told.ranks} ranks under ZeRO-{told.zero}"
    return f"{told.isa}, {sums} x {told.threads} threads, {told.precision}, {told.attention}, torch {told.torch}"


def class_after(state: State, determinism: Determinism) -> Trajectory:
    """EXACT while every step of the path ran under one class."""
    return "EXACT" if state.trajectory == "EXACT" and state.determinism in (None, determinism) else "CLOSE"
