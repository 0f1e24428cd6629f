"""A profile: the machine a recipe runs on. It may change speed and rounding, never intent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan.errors import RecipeError
from yulan.layout import shipped
from yulan.schema import check, load_yaml, structure, suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class Slurm:
    """What a job asks the scheduler for."""

    nodes: int
    """The processes spread evenly over them."""
    gpus: int
    """Of each node; 0: none."""
    minutes: int
    """Time limit of one try; a job that needs more queues itself again."""
    notice: int
    """Seconds before the limit at which the ranks are told to save."""
    partition: str | None
    account: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    device: Literal["cpu", "cuda"]
    processes: int
    """Training processes (ranks), one per device."""
    threads: int
    """CPU threads of each process."""
    zero: Literal[0, 1, 2, 3]
    """DeepSpeed ZeRO stage."""
    precision: Literal["fp32", "bf16"]
    """Of forward and backward; master weights and moments are fp32."""
    attention: Literal["sdpa", "flash"]
    reduction: Literal["engine", "exact"]
    """How micro-batch gradients are summed: by the engine, or in a fixed tree that any number of ranks shares."""
    runner: Literal["native", "ray"]
    """Daft's."""
    launcher: Literal["torchrun", "deepspeed", "slurm"]
    slurm: Slurm | None
    """Null unless the launcher is slurm."""
    device_memory: int
    """Bytes a process may use."""
    flops: float
    """Measured training FLOP/s of all processes together; `plan` turns it into time."""


def profile_names() -> list[str]:
    return sorted(p.stem for p in shipped("profiles").glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """A shipped profile by name, or a file by path.

    Raises: RecipeError: unknown, or the file breaks its schema.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else shipped("profiles") / f"{name}.yaml"
    if not name.endswith((".yaml", ".yml")) and name not in profile_names():
        raise RecipeError(f"no profile named {name!r}", where="profiles", cure=suggest(name, profile_names()))
    raw = load_yaml(path)
    check(raw, "profile", path)
    return structure(raw, Profile)
