"""Read a checkpoint: any rank, any piece of any tensor, nothing copied that is not asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from yulan.train.checkpoint.state import State, read_state, read_tensors
from yulan.train.checkpoint.stream import KINDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """An opened checkpoint; its bytes are verified by `scan.require_whole`, before."""

    folder: Path
    state: State
    files: dict[tuple[str, str], Path]
    """(set, tensor name) -> file."""
    opened: dict[Path, Any]

    @property
    def has_moments(self) -> bool:
        return any(kind == KINDS[1] for kind, _ in self.files)

    def tensor(self, name: str, kind: str = "weights") -> Tensor:
        """fp32, full shape, mapped from the file: only what is touched is read. Moments of fewer bits are a copy."""
        stored = self._stored(name, kind)
        if stored.dtype == torch.float32:
            return stored
        return decode(kind, stored, self._stored(name, kind + SCALE) if (kind + SCALE, name) in self.files else None)

    def _stored(self, name: str, kind: str) -> Tensor:
        path = self.files[kind, name]
        try:
            if path not in self.opened:
                self.opened[path] = safe_open(path, framework="pt")
            found: Tensor = self.opened[path].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise IntegrityError(f"cannot be read ({error})", where=path, cure="Fetch the checkpoint again") from None
        return found

    @property
    def model(self) -> Model:
        """Its shape, as its own state tells."""
        return structure(self.state.keys["model"], Model)


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
        opened={},
    )
