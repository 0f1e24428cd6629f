"""A profile: the machine a recipe runs on. It may change speed and rounding, never intent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan.errors import RecipeError
from yulan.layout import shipped
from yulan.schema import read_yaml, suggest


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
class Data:
    """How the stages on text run."""

    runner: Literal["native", "ray"]
    """Daft's: inside the stage's process, or on a Ray cluster. The bytes are the same."""
    address: str | None
    """HOST:PORT of the cluster's head; null: one is started on this machine for the time of a stage."""
    partitions: int
    """Input partitions that are worked on together; each holds about ten times 64 MB. More than one helps on a cluster only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a model that the recipe names is asked."""

    address: str
    """Base of an OpenAI-compatible interface, `http://127.0.0.1:8000/v1`."""
    served: str | None
    """What the model is called there; None: as in the recipe."""
    parallel: int
    """Requests under way at a time."""
    timeout: float
    """Seconds that one request may take."""
    tries: int
    """How often a request is sent, at most."""
    key: bool
    """Whether it asks for a key, which stands in the environment or a file, never here."""


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
    attention: Literal["sdpa", "flash", "flash3"]
    """Kernel: torch's, flash-attention 2, or flash-attention 3 for Hopper."""
    fused: Literal["none", "liger"]
    """RMSNorm, SwiGLU and the loss from the head's input on: as written in yulan/model, or Liger's Triton kernels."""
    compile: bool
    """torch.compile the parts of a layer around attention."""
    recompute: int
    """0: all activations wait for backward. k: those of layers 0, k, 2k ... do, the others keep their input and are computed
    again, as in the published trainer (`gradient_checkpointing_step`)."""
    offload: Literal["none", "cpu"]
    """Where ZeRO keeps this rank's fp32 weights and moments, and updates them."""
    reduction: Literal["engine", "exact"]
    """How micro-batch gradients are summed: by the engine, or in a fixed tree that any number of ranks shares."""
    data: Data
    launcher: Literal["torchrun", "deepspeed", "slurm"]
    slurm: Slurm | None
    """Null unless the launcher is slurm."""
    endpoint: Address | None
    """Null: no model but the recipe's local one can be asked."""
    device_memory: int
    """Bytes a process may use."""
    flops: float
    """Training FLOP/s of all processes together, recomputation not counted; `plan` turns it into time."""

    def require_sound(self, where: Path | str = "profile") -> None:
        """Raises: RecipeError: two keys do not go together."""
        for spoilt, what, key, cure in _refusals(self):
            if spoilt:
                raise RecipeError(what, where=f"{where}: $.{key}", cure=cure)


def _refusals(p: Profile) -> tuple[tuple[bool, str, str, str], ...]:
    """(whether it is so, what is wrong, the key to change, the cure)."""
    on_cpu, slurm = p.device == "cpu", p.slurm
    gathers = "ZeRO-3 gathers weights as modules are called, which torch.compile cannot see"
    unlike = slurm is not None and slurm.nodes * slurm.gpus != p.processes
    return (
        (on_cpu and p.attention != "sdpa", f"attention `{p.attention}` runs on a GPU only", "attention", "Write sdpa"),
        (on_cpu and p.fused != "none", "Liger's kernels run on a GPU only", "fused", "Write none"),
        (
            p.attention != "sdpa" and p.precision == "fp32",
            "flash attention takes half precision only",
            "precision",
            "Write bf16, or `attention: sdpa`",
        ),
        (p.zero == 0 and p.precision == "bf16", "bf16 needs ZeRO 1, 2 or 3, which hold the fp32 weights", "zero", "Write 1"),
        (p.zero == 0 and p.offload != "none", "without ZeRO nothing can be offloaded", "offload", "Write none, or `zero: 1`"),
        (p.zero == 3 and p.compile, gathers, "compile", "Write false, or `zero: 2`"),
        (
            p.data.runner == "native" and p.data.address is not None,
            "only Ray has a cluster to join",
            "data.address",
            "Write null, or `runner: ray`",
        ),
        (p.recompute == 1, "every layer keeps its activations, so none is computed again", "recompute", "Write 0, or 2 or more"),
        (
            p.launcher == "slurm" and not on_cpu and unlike,
            "the GPUs of all nodes are not as many as the processes",
            "slurm.gpus",
            "Let nodes x gpus be processes",
        ),
    )


def profile_names() -> list[str]:
    return sorted(p.stem for p in shipped("profiles").glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """A shipped profile by name, or a file by path.

    Raises: RecipeError: unknown, or the file breaks its schema, or two keys do not go together.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else shipped("profiles") / f"{name}.yaml"
    if not name.endswith((".yaml", ".yml")) and name not in profile_names():
        raise RecipeError(f"no profile named {name!r}", where="profiles", cure=suggest(name, profile_names()))
    found = read_yaml(path, "profile", Profile)
    found.require_sound(path.name)
    return found
