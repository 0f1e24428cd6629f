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
        attention=kernels_of(profile),
    )


def kernels_of(profile: Profile) -> str:
    """`sdpa`, or `flash-2.8.3+liger-0.8.5+compile+offload`: all that rounds otherwise, with the versions that are installed."""
    parts = [_versioned(profile.attention, {"flash": "flash-attn", "flash3": "flash-attn-3"}.get(profile.attention))]
    parts += [_versioned("liger", "liger-kernel")] * (profile.fused == "liger")
    parts += ["compile"] * profile.compile + ["offload"] * (profile.offload == "cpu")
    return "+".join(parts)


def _versioned(name: str, package: str | None) -> str:
    """The name alone where the package is not installed: on a login node, whose jobs judge their own class."""
    try:
        return f"{name}-{metadata.version(package)}" if package else name
    except metadata.PackageNotFoundError:
        return name


def words(told: Determinism) -> str:
    """The class as a person reads it."""
    sums = "any number of ranks" if told.ranks is None else f"{told.ranks} ranks under ZeRO-{told.zero}"
    return f"{told.isa}, {sums} x {told.threads} threads, {told.precision}, {told.attention}, torch {told.torch}"


def class_after(state: State, determinism: Determinism) -> Trajectory:
    """EXACT while every step of the path ran under one class."""
    return "EXACT" if state.trajectory == "EXACT" and state.determinism in (None, determinism) else "CLOSE"
