"""Write a checkpoint: streamed, hashed while written, manifest last, renamed into place; then sweep the old ones."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from yulan import digest, files, manifest
from yulan.errors import IntegrityError
from yulan.layout import MANIFEST
from yulan.manifest import File, Manifest
from yulan.model.shape import Parameter
from yulan.schema import plain
from yulan.train.checkpoint.scan import differences, step_name, steps_in
from yulan.train.checkpoint.state import FORMAT, STATE, TENSORS, State, TensorRow, TensorTable, state_json
from yulan.train.checkpoint.stream import KINDS, Fragment, tensor_bytes

SHARD = 5 * 10**9
"""Bytes of the largest tensor file."""


def write_checkpoint(
    folder: Path, state: State, parameters: Sequence[Parameter], fragment: Fragment, *, lead: bool = True, moments: bool = True
) -> None:
    """Every rank calls it; the one that is `lead` writes `folder`.

    Raises: ResourceError: no space or permission; what was there before is untouched.
    """
    kinds = KINDS if moments else KINDS[:1]
    shards = _shards(parameters)
    if not lead:
        for kind in kinds:
            for shard in shards:
                list(tensor_bytes(shard, fragment, kind))
        return
    files.require_space(folder.parent, 12 * sum(p.size for p in parameters))
    with files.new_folder(folder) as partial:
        listed: list[File] = []
        rows: list[TensorRow] = []
        for kind in kinds:
            for index, shard in enumerate(shards, 1):
                name = f"{kind}-{index:05d}-of-{len(shards):05d}.safetensors"
                sums, file = _write_tensors(partial / name, shard, fragment, kind)
                listed.append(file)
                rows += [
                    TensorRow(name=p.name, set=kind, file=name, dtype="F32", shape=p.shape, sha256=sums[p.name]) for p in shard
                ]
        table = plain(TensorTable(format=FORMAT, tensors=tuple(rows)))
        for name, value in ((STATE, state_json(state)), (TENSORS, table)):
            path = files.write_json(partial / name, value)
            listed.append(File(path=name, size=path.stat().st_size, sha256=digest.of_file(path)))
        manifest.write(partial / MANIFEST, _manifest(state, listed))


def _manifest(state: State, listed: Iterable[File]) -> Manifest:
    return Manifest(
        format=manifest.FORMAT,
        stage="checkpoint",
        name=f"{state.recipe}/{state.cursor.phase}" if state.cursor.phase else state.recipe,
        files=tuple(sorted(listed, key=lambda file: file.path)),
        inputs={},
        keys=dict(state.keys),
        summary={"global_step": state.global_step, "tokens": state.tokens, "trajectory": state.trajectory},
        determinism=state.determinism,
    )


def _shards(parameters: Sequence[Parameter]) -> list[list[Parameter]]:
    shards: list[list[Parameter]] = [[]]
    for parameter in parameters:
        if shards[-1] and 4 * (sum(p.size for p in shards[-1]) + parameter.size) > SHARD:
            shards.append([])
        shards[-1].append(parameter)
    return shards


def _header(parameters: Sequence[Parameter]) -> bytes:
    """safetensors: length, then JSON with offsets, padded to 8 bytes so that numbers are aligned."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for p in parameters:
        table[p.name] = {"dtype": "F32", "shape": list(p.shape), "data_offsets": [at, at + 4 * p.size]}
        at += 4 * p.size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class _Hashing:
    """A file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sum, self.size = file, digest.running(), 0

    def write(self, data: bytes | memoryview) -> None:
        self.file.write(data)
        self.sum.update(data)
        self.size += len(data)


def _write_tensors(path: Path, parameters: Sequence[Parameter], fragment: Fragment, kind: str) -> tuple[dict[str, str], File]:
    """Returns: sha256 of each tensor's bytes, and the file's own."""
    sums = {p.name: digest.running() for p in parameters}
    with files.open_new(path) as file:
        out = _Hashing(file)
        out.write(_header(parameters))
        for parameter, data in tensor_bytes(parameters, fragment, kind):
            out.write(data)
            sums[parameter.name].update(data)
    return {name: each.hexdigest() for name, each in sums.items()}, File(
        path=path.name, size=out.size, sha256=out.sum.hexdigest()
    )


def retain(checkpoints: Path, newest: int, keep: int, every: int, begin: int) -> None:
    """Keep the `keep` newest checkpoints of the schedule (each `every` steps after `begin`) and `newest`; remove older ones.

    Raises: IntegrityError: `newest` is not as its manifest says; then nothing is removed.
    """
    if rows := differences(checkpoints / step_name(newest)):
        raise IntegrityError(
            "was not written as it should be",
            where=checkpoints / step_name(newest),
            cure="Check the disk, then run the same command again",
            evidence=rows,
        )
    steps = [step for step in steps_in(checkpoints) if step <= newest]
    scheduled = [step for step in steps if step == newest or (step - begin) % every == 0]
    for step in set(steps) - set(scheduled[-keep:]):
        files.remove(checkpoints / step_name(step))
