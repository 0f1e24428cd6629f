"""How others name revisions and lay out checkpoints: what a label says, and which files are weights or optimizer states.

Sources: Pythia's branches `step143000`; OLMo 2's `stage1-step101000-tokens424B`; DeepSpeed 0.19.8's
`global_stepN/` with `zero/<name>/fp32.pt` (universal) or `*_optim_states.pt`; torch's distributed checkpoints with
`.metadata` and `*.distcp`; transformers' `checkpoint-N`; our own `phase-NN[-variant]-step-NNNNNN`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yulan.release.hub import Remote

_STEP = re.compile(r"(?:^|[-_/])(?:global_?)?step[-_]?(\d+)(?![\d.])|^checkpoint-(\d+)$", re.IGNORECASE)
_FOLDER = re.compile(r"(?:^|/)global_step(\d+)/")
_OPTIMIZER = re.compile(
    r"(^|/)(optimizer|optim|exp_avg|exp_avg_sq|moments?)[^/]*\.(safetensors|pt|pth|bin)$|_optim_states\.pt$|/zero/|\.distcp$"
)
_WEIGHTS = re.compile(r"\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|gguf|distcp)$")
_NOT_WEIGHTS = re.compile(r"(^|/)(training_args|scheduler|rng_state[^/]*|trainer_state|tokenizer)[^/]*\.(bin|pt|pth)$")
_PICKLED = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".distcp"}
_TORCH = re.compile(r"(pytorch_model|adapter_model|training_args|optimizer|scheduler|rng_state|consolidated)")
"""Beginnings of `.bin` files that torch.save writes; others with that suffix are looked into."""
KINDS = {
    "deepspeed-universal": re.compile(r"/zero/.+/fp32\.pt$"),
    "deepspeed-zero": re.compile(r"_optim_states\.pt$"),
    "torch-dcp": re.compile(r"(^|/)\.metadata$"),
    "yulan": re.compile(r"^checkpoint/state\.json$"),
    "transformers": re.compile(r"^config\.json$"),
}
"""A file that only this layout has."""


def step_of(label: str) -> int | None:
    """The step that a revision's name claims; null: it claims none."""
    found = _STEP.search(label)
    return int(found[1] or found[2]) if found else None


def phase_of(label: str) -> str:
    """What stands before the step in a revision's name: `phase-01`, `stage1`, or nothing."""
    found = _STEP.search(label)
    return label[: found.start()] if found else label


def kind(names: Iterable[str]) -> str:
    """Which layout a revision's files are in, or `unknown`."""
    names = list(names)
    return next((kind for kind, mark in KINDS.items() if any(mark.search(name) for name in names)), "unknown")


def folder_steps(names: Iterable[str]) -> set[int]:
    """Steps that folders called `global_stepN` claim."""
    return {int(found[1]) for name in names if (found := _FOLDER.search(name))}


def weights(files: "Mapping[str, Remote]") -> "dict[str, Remote]":
    """Files that hold a model's weights."""
    return {
        name: remote
        for name, remote in files.items()
        if _WEIGHTS.search(name) and not _OPTIMIZER.search(name) and not _NOT_WEIGHTS.search(name)
    }


def optimizer(files: "Mapping[str, Remote]") -> "dict[str, Remote]":
    """Files that hold optimizer states."""
    return {name: remote for name, remote in files.items() if _OPTIMIZER.search(name)}


def is_pickle_name(name: str) -> bool:
    """Whether the suffix is one whose loader unpickles."""
    path = PurePosixPath(name)
    return path.suffix in _PICKLED or path.name == ".metadata" or (path.suffix == ".bin" and bool(_TORCH.match(path.name)))
