"""Read a checkpoint: any rank, any piece of any tensor, nothing copied that is not asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from yulan.errors import IntegrityError
from yulan.model.shape import Parameter
from yulan.recipe.model import Model
from yulan.schema import structure
from yulan.train.checkpoint.codec import SCALE, blocks, decode
from yulan.train.checkpoint.proof import Proof
from yulan.train.checkpoint.state import STATE, State, TensorRow, read_state, read_tensors
from yulan.train.checkpoint.stream import KINDS

TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """An opened checkpoint; its bytes are verified before, by `scan.require_whole`, or on the way, by `proof`."""

    folder: Path
    state: State
    files: dict[tuple[str, str], Path]
    """(set, tensor name) -> file."""
    rows: dict[tuple[str, str], TensorRow]
    opened: dict[Path, Any]
    proof: Proof | None
    """What a tensor waits for before it is given out."""

    @property
    def has_moments(self) -> bool:
        return any(kind == KINDS[1] for kind, _ in self.files)

    def tensor(self, name: str, kind: str = "weights") -> Tensor:
        """fp32, full shape, mapped from the file: only what is touched is read. Moments of fewer bits are a copy."""
        stored = self._stored(name, kind)
        if stored.dtype == torch.float32:
            return stored
        return decode(kind, stored, self._stored(name, kind + SCALE) if stored.dtype == torch.float8_e4m3fn else None)

    def _stored(self, name: str, kind: str) -> Tensor:
        if (kind, name) not in self.files:
            raise IntegrityError(f"{kind} of {name} is not there", where=self.folder, cure="Fetch the checkpoint again")
        path, row = self.files[kind, name], self.rows[kind, name]
        if self.proof is not None:
            self.proof.require(path.name)
        try:
            if path not in self.opened:
                self.opened[path] = safe_open(path, framework="pt")
            found: Tensor = self.opened[path].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise IntegrityError(f"cannot be read ({error})", where=path, cure="Fetch the checkpoint again") from None
        narrow = kind in KINDS[1:]
        if found.dtype != (TYPES[row.dtype] if narrow else torch.float32) or tuple(found.shape) != row.shape:
            raise IntegrityError(
                f"{name} is {found.dtype} {list(found.shape)}, which tensors.json does not say",
                where=path,
                cure="Do not use this checkpoint: its files do not belong together",
            )
        return found

    @property
    def model(self) -> Model:
        """Its shape, as its own state tells.

        Raises: IntegrityError: it tells none.
        """
        try:
            return structure(self.state.keys["model"], Model)
        except (KeyError, TypeError, ValueError):
            raise IntegrityError(
                "tells no model in its keys", where=self.folder / STATE, cure="Name a checkpoint that a recipe made"
            ) from None


def read_checkpoint(folder: Path, parameters: Sequence[Parameter] | None = None) -> Checkpoint:
    """Open a checkpoint folder; with `parameters`, hold its names and shapes to them.

    Raises: DataError: a JSON file is missing or wrong; IntegrityError: tensors are missing, unknown or of another shape.
    """
    rows = read_tensors(folder).tensors
    if parameters is not None:
        whole = {(p.name, p.shape) for p in parameters}
        scales = {(p.name, (blocks(p.size),)) for p in parameters}
        for kind in sorted({row.set for row in rows} | {KINDS[0]}):
            wanted = scales if kind.endswith(SCALE) else whole
            there = {(row.name, row.shape) for row in rows if row.set == kind}
            if wrong := sorted(f"{name} {list(shape)}" for name, shape in wanted ^ there):
                raise IntegrityError(
                    f"the tensors of {kind} are not those of this model",
                    where=folder,
                    cure="Use a checkpoint of the recipe's own shape",
                    evidence=wrong,
                )
    return Checkpoint(
        folder=folder,
        state=read_state(folder),
        files={(row.set, row.name): folder / row.file for row in rows},
        rows={(row.set, row.name): row for row in rows},
        opened={},
        proof=None,
    )


def read_whole(folder: Path, parameters: Sequence[Parameter] | None = None) -> Checkpoint:
    """The same, held to its manifest on the way: one file is hashed while tensors of another are read.

    Raises: IntegrityError: it is not whole; a tensor file says so when one of its tensors is asked for, or `proof.require_all`.
    """
    proof = Proof(folder)
    return replace(read_checkpoint(folder, parameters), proof=proof)
