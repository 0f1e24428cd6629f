"""Take in a checkpoint of DeepSpeed: its universal layout, as YuLan-Mini published it, or its own ZeRO-1/2 files.

    global_stepN/mp_rank_00_model_states.pt                                 step, shapes
    global_stepN/zero/<parameter name>/{fp32,exp_avg,exp_avg_sq,step}.pt    universal: one file a tensor
    global_stepN/[bf16_]zero_pp_rank_R_mp_rank_00_optim_states.pt           ZeRO: each rank's pieces of flattened groups

Memory: the stream's BUFFER and, for ZeRO files, one tensor, since pieces of it lie with several ranks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from yulan import digest
from yulan.errors import DataError, IntegrityError, StateError
from yulan.model.shape import Parameter, parameters
from yulan.recipe.model import Model
from yulan.train.checkpoint.state import State
from yulan.train.checkpoint.stream import KINDS
from yulan.train.checkpoint.unpickle import Piece, read_torch
from yulan.train.checkpoint.write import Origin, write_checkpoint

MODEL_STATES = "mp_rank_00_model_states.pt"
RANKS = re.compile(r"(?:bf16_)?zero_pp_rank_(\d+)_mp_rank_00_optim_states\.pt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A foreign checkpoint, opened as far as its step."""

    folder: Path
    layout: str
    """`universal` or `zero`."""
    global_step: int
    """As its files say."""
    adam_step: int
    """Updates that the moments have seen, as its files say; the global step where they do not."""
    source: "Source"


class Source(Protocol):
    """Where tensors come from."""

    def adam_step(self, first: str) -> int | None: ...

    def tensor(self, name: str, kind: str) -> Tensor | None:
        """As it is stored, in its full shape or flat; None if it is not there."""

    def names(self) -> set[str]: ...


@contextmanager
def _sound(where: Path) -> Iterator[None]:
    """Files that are read safely may still hold anything.

    Raises: IntegrityError: they are built otherwise than DeepSpeed builds them.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"is not what DeepSpeed saves ({type(error).__name__}: {error})", where=where, cure="Fetch the folder again"
        ) from None


class Universal:
    """One file a tensor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "zero"

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.is_dir()}

    def adam_step(self, first: str) -> int | None:
        path, common = self.folder / first / "step.pt", self.folder / "optimizer_state.pt"
        with _sound(path):
            if path.is_file():
                return int(read_torch(path))
            # FusedAdam counts in its groups.
            step = read_torch(common)["param_groups"][0].get("step") if common.is_file() else None
            return None if step is None else int(step)

    def tensor(self, name: str, kind: str) -> Tensor | None:
        path = self.folder / name / f"{'fp32' if kind == KINDS[0] else kind}.pt"
        found = read_torch(path)
        return found.get("param") if isinstance(found, dict) else found


class Zero:
    """Each rank's file holds its part of every flattened parameter group, and says where in it each tensor's numbers are."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.folder = paths[0].parent
        self.ranks: list[Mapping[str, Any]] = []
        for path in paths:
            try:
                told = read_torch(path)["optimizer_state_dict"]
                self.ranks.append(
                    {
                        KINDS[0]: told["single_partition_of_fp32_groups"],
                        "state": told["base_optimizer_state"]["state"],
                        "groups": told["base_optimizer_state"]["param_groups"],
                        "pieces": told["param_slice_mappings"],
                    }
                )
            except (KeyError, TypeError) as error:
                raise IntegrityError(
                    f"holds no ZeRO-1 or ZeRO-2 states ({error})",
                    where=path,
                    cure="Convert it first: python -m deepspeed.checkpoint.ds_to_universal",
                ) from None

    def names(self) -> set[str]:
        with _sound(self.folder):
            return {str(name) for rank in self.ranks for group in rank["pieces"] for name in group}

    def adam_step(self, first: str) -> int | None:
        with _sound(self.folder):
            step = self.ranks[0]["state"].get(0, {}).get("step", self.ranks[0]["groups"][0].get("step"))
            return None if step is None else int(step)

    def tensor(self, name: str, kind: str) -> Tensor | None:
        parts = []
        with _sound(self.folder):
            for rank in self.ranks:
                for group, pieces in enumerate(rank["pieces"]):
                    piece: Piece | None = pieces.get(name)
                    if piece is not None:
                        flat = rank[KINDS[0]][group] if kind == KINDS[0] else rank["state"][group][kind]
                        parts.append(flat[piece.start : piece.start + piece.numel])
            return torch.cat(parts) if len(parts) > 1 else parts[0] if parts else None


def find(folder: Path) -> Found:
    """The DeepSpeed checkpoint in a folder: itself, or its one `global_stepN`.

    Raises: StateError: there is none, or several; DataError: its step is not told; IntegrityError: a file would run code.
    """
    places = [folder] if (folder / MODEL_STATES).is_file() else sorted(p.parent for p in folder.glob(f"*/{MODEL_STATES}"))
    if len(places) != 1:
        raise StateError(
            f"{len(places)} DeepSpeed checkpoints of one model rank lie here",
            where=folder,
            cure=f"Name the one folder that holds {MODEL_STATES}",
            evidence=[place.name for place in places],
        )
    place = places[0]
    ranks = sorted((int(match[1]), path) for path in place.iterdir() if (match := RANKS.fullmatch(path.name)))
    universal = (place / "zero").is_dir()
    if not universal and (not ranks or [rank for rank, _ in ranks] != list(range(len(ranks)))):
        raise StateError("holds no optimizer states of rank 0 and all after it", where=place, cure="Fetch the whole folder")
    told = read_torch(place / MODEL_STATES)
    step = told.get("global_steps") if isinstance(told, dict) else None
    if not isinstance(step, int) or step < 0:
        raise DataError("tells no global_steps", where=place / MODEL_STATES, cure="Name a checkpoint that DeepSpeed saved")
    if not universal and told.get("dp_world_size", len(ranks)) != len(ranks):
        raise StateError(
            f"{told['dp_world_size']} ranks saved it and {len(ranks)} files lie here", where=place, cure="Fetch the whole folder"
        )
    source: Source = Universal(place) if universal else Zero([path for _, path in ranks])
    first = next(iter(sorted(source.names())), "")
    adam_step = source.adam_step(first)
    return Found(
        folder=place,
        layout="universal" if universal else "zero",
        global_step=step,
        adam_step=step if adam_step is None else adam_step,
        source=source,
    )


def take_in(found: Found, state: State, model: Model, into: Path) -> None:
    """Write `found` as a checkpoint of ours, bit for bit; `state` says where it stands.

    Raises: IntegrityError: tensors are missing, unknown, of another shape or type, or not finite; a file would run code.
    """
    wanted = parameters(model)
    _require_names(found, wanted)
    shapes = {p.name: p.shape for p in wanted}
    last: tuple[str, str, Tensor] | None = None

    def fragment(name: str, kind: str) -> tuple[int, Tensor]:
        nonlocal last
        if last is None or last[:2] != (name, kind):
            last = name, kind, _checked(found, name, kind, shapes[name])
        return 0, last[2]

    # Not by `manifest.survey`: in a hub's cache every file is a link.
    listed = {path.relative_to(found.folder).as_posix(): digest.of_file(path) for path in sorted(found.folder.rglob("*.pt"))}
    origin = Origin(
        inputs={found.layout: digest.of_json(listed)},
        summary={"imported": {"layout": found.layout, "global_step": found.global_step}},
    )
    write_checkpoint(into, state, wanted, fragment, origin=origin)


def _require_names(found: Found, wanted: Sequence[Parameter]) -> None:
    names, there = {p.name for p in wanted}, found.source.names()
    if wrong := [f"missing  {name}" for name in sorted(names - there)] + [f"unknown  {name}" for name in sorted(there - names)]:
        raise IntegrityError(
            "its tensors are not those of the recipe's model",
            where=found.folder,
            cure="Name the recipe: --recipe",
            evidence=wrong,
        )


def _checked(found: Found, name: str, kind: str, shape: tuple[int, ...]) -> Tensor:
    tensor, size = found.source.tensor(name, kind), torch.Size(shape).numel()
    if not isinstance(tensor, Tensor) or tensor.numel() != size or (tensor.dim() > 1 and tensor.shape != shape):
        told = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise IntegrityError(
            f"{kind} of {name} is {told}, not {list(shape)}", where=found.folder, cure="Name the recipe of its model: --recipe"
        )
    if tensor.dtype != torch.float32 or not tensor.is_contiguous():
        raise IntegrityError(
            f"{kind} of {name} is not stored as whole fp32 numbers",
            where=found.folder,
            cure="Name the folder with the fp32 states, not the one with the weights of half precision",
        )
    if not all(bool(part.isfinite().all()) for part in tensor.view(-1).split(1 << 22)):
        raise IntegrityError(f"{kind} of {name} holds NaN or Inf", where=found.folder, cure="Use a checkpoint from before it")
    return tensor.detach().view(-1)
