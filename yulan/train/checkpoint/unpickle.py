"""Other people's torch files, read without running what is in them. The only place that unpickles anything.

A torch file is a zip of one pickle and raw numbers. The pickle may name classes and functions, and naming is running:
so its names are listed first, and none is looked up but torch's own short list (`weights_only`) and four of DeepSpeed,
for which inert things stand in. DeepSpeed itself is never imported here.
"""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from yulan.errors import IntegrityError, StateError

LARGEST = 64 << 20
"""Bytes of the largest pickle; the numbers lie beside it."""


class Piece:
    """Stands in for DeepSpeed's fragment_address."""

    numel: int
    """Numbers of a tensor in a rank's partition."""
    start: int
    """Where they begin in it."""


class Ignored:
    """Stands in for DeepSpeed's loss scalers, which hold nothing that training in fp32 or bf16 needs."""


STAND_INS: dict[str, type] = {
    "deepspeed.utils.tensor_fragment.fragment_address": Piece,
    "deepspeed.runtime.fp16.loss_scaler.LossScaler": Ignored,
    "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler": Ignored,
    "deepspeed.runtime.zero.config.ZeroStageEnum": int,
}
"""The closed list: full name -> what is made instead."""


def read_torch(path: Path) -> Any:
    """What a torch file holds; its tensors are mapped, not read.

    Raises: StateError: no such file; IntegrityError: it names code, or is no torch file.
    """
    if not path.is_file():
        raise StateError("no such file", where=path, cure="Fetch the whole checkpoint folder")
    _require_plain_zip(path)
    try:
        foreign = set(get_unsafe_globals_in_checkpoint(path)) - STAND_INS.keys()
    except Exception as error:
        raise _unreadable(path, error) from None
    if foreign:
        raise _would_run(path, sorted(foreign))
    try:
        with safe_globals([(kind, name) for name, kind in STAND_INS.items()]):
            return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:
        # Names that are put together while unpickling are refused by torch's own unpickler.
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise _would_run(path, [named[1]]) from None
        raise _unreadable(path, error) from None


def _require_plain_zip(path: Path) -> None:
    """Raises: IntegrityError: a bare pickle, or a zip that would unfold into more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise _unreadable(path, error) from None
    packed = any(each.compress_type != zipfile.ZIP_STORED for each in entries)
    if packed or any(each.file_size > LARGEST for each in entries if each.filename.endswith(".pkl")):
        raise IntegrityError("is not packed as torch packs it", where=path, cure="Do not use this file")


def _would_run(path: Path, names: list[str]) -> IntegrityError:
    return IntegrityError(
        "would run code when it is opened, and was not opened",
        where=path,
        cure="Do not use this file; ask who made it for safetensors",
        evidence=[f"names {name}" for name in names],
    )


def _unreadable(path: Path, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"is not a torch file ({type(error).__name__})",
        where=path,
        cure="Fetch it again; files of torch 1.5 and older are not read",
    )
