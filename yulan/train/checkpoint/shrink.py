"""A copy of a checkpoint whose moments take fewer bytes. Runs themselves always keep fp32, so that a resume changes no bit."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from yulan import manifest
from yulan.errors import StateError
from yulan.layout import MANIFEST
from yulan.model.shape import parameters
from yulan.train.checkpoint.read import read_whole
from yulan.train.checkpoint.state import Precision
from yulan.train.checkpoint.write import Origin, write_checkpoint


def shrink(folder: Path, into: Path, moments: Precision) -> None:
    """Write `into`: the same weights and state, moments rounded. Going on from it is CLOSE, and it says so.

    Raises: IntegrityError: the checkpoint is not whole; StateError: it holds no moments, or `into` is there already.
    """
    require_new(into)
    found = read_whole(folder)
    if not found.has_moments:
        raise StateError("holds no moments that could be shrunk", where=folder, cure="Name a checkpoint with optimizer states")

    def fragment(name: str, kind: str) -> tuple[int, Tensor]:
        return 0, found.tensor(name, kind).reshape(-1)

    origin = Origin(inputs={"checkpoint": manifest.read(folder / MANIFEST).digest}, summary={"moments": moments})
    state = replace(found.state, trajectory="CLOSE")
    write_checkpoint(into, state, parameters(found.model), fragment, moments=moments, origin=origin)


def require_new(into: Path) -> None:
    """Raises: StateError: something lies there."""
    if into.exists():
        raise StateError("something lies there already", where=into, cure="Choose a new folder")
