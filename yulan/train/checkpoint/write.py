"""Write a checkpoint: streamed, hashed while written, manifest last, renamed into place; then sweep the old ones."""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from yulan import digest, files, manifest
from yulan.direct import Direct, open_direct
from yulan.errors import IntegrityError
from yulan.layout import MANIFEST
from yulan.manifest import File, Manifest
from yulan.model.shape import Parameter
from yulan.schema import plain
from yulan.train.checkpoint.codec import DTYPES, SCALE, Encoder, blocks
from yulan.train.checkpoint.scan import differences, prune, step_name
from yulan.train.checkpoint.state import FORMAT, TENSORS, Precision, State, TensorRow, TensorTable, identity, state_files
from yulan.train.checkpoint.stream import KINDS, Fragment, Parts, half, tensor_bytes

SHARD = 5 * 10**9
"""Bytes of the largest tensor file."""
SMALL = 1 << 16
"""Bytes below which a thread costs more than it saves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a checkpoint was made from, where it is not a training run's own."""

    inputs: Mapping[str, str]
    """Content digests."""
    summary: Mapping[str, Any]
    """Added to the manifest's."""


def write_checkpoint(
    folder: Path,
    state: State,
    parameters: Sequence[Parameter],
    fragment: Fragment,
    *,
    lead: bool = True,
    moments: Precision | None = "fp32",
    origin: Origin | None = None,
    group: Any = None,
) -> None:
    """Every rank calls it; the one that is `lead` writes `folder`. `moments` is how they are stored, None for without.

    Raises: ResourceError: no space or permission; what was there before is untouched.
    """
    kinds: dict[str, Precision] = {KINDS[0]: "fp32"}
    if moments:
        kinds |= dict.fromkeys(KINDS[1:], moments)
    shards = _shards(parameters)
    if not lead:
        for kind in kinds:
            for shard in shards:
                list(tensor_bytes(shard, fragment, kind, group))
        return
    files.require_space(folder.parent, sum(DTYPES[each][1] for each in kinds.values()) * sum(p.size for p in parameters))
    with files.new_folder(folder) as partial, _Threads() as threads:
        written: list[_Written] = []
        for kind, precision in kinds.items():
            for index, shard in enumerate(shards, 1):
                name = f"{index:05d}-of-{len(shards):05d}.safetensors"
                scales: dict[str, torch.Tensor] = {}
                parts = _encoded(tensor_bytes(shard, fragment, kind, group), kind, precision, scales)
                written.append(_write_tensors(partial, name, kind, shard, parts, precision, threads))
                if scales:
                    small = [replace(p, shape=(blocks(p.size),)) for p in shard]
                    parts = ((p, memoryview(scales[p.name].numpy()).cast("B")) for p in small)
                    written.append(_write_tensors(partial, name, kind + SCALE, small, parts, "fp32", threads))
        threads.require_closed()
        listed = [each.file() for each in written]
        table = plain(TensorTable(format=FORMAT, tensors=tuple(row for each in written for row in each.rows())))
        for name, value in (state_files(state) | {TENSORS: table}).items():
            path = files.write_json(partial / name, value)
            listed.append(File(path=name, size=path.stat().st_size, sha256=digest.of_file(path)))
        manifest.write(partial / MANIFEST, _manifest(state, listed, origin))


def _encoded(parts: Parts, kind: str, precision: Precision, scales: dict[str, torch.Tensor]) -> Parts:
    """Parts as they are stored; 8 bits leave `scales` behind, 1/32 of their own bytes."""
    encoder, name = Encoder(kind, 0, precision), None
    for parameter, data in parts:
        if parameter.name != name:
            encoder, name = Encoder(kind, parameter.size, precision), parameter.name
        yield parameter, encoder.encode(data)
        if precision == "fp8" and encoder.left == 0:
            scales[parameter.name] = torch.cat(encoder.scales)


def _manifest(state: State, listed: Iterable[File], origin: Origin | None) -> Manifest:
    told = identity(state)
    return Manifest(
        format=manifest.FORMAT,
        files=tuple(sorted(listed, key=lambda file: file.path)),
        inputs=dict(origin.inputs) if origin else {},
        **told | {"summary": told["summary"] | (dict(origin.summary) if origin else {})},
    )


def _shards(parameters: Sequence[Parameter]) -> list[list[Parameter]]:
    shards: list[list[Parameter]] = [[]]
    room = SHARD
    for parameter in parameters:
        if shards[-1] and 4 * parameter.size > room:
            shards.append([])
            room = SHARD
        shards[-1].append(parameter)
        room -= 4 * parameter.size
    return shards


def _header(parameters: Sequence[Parameter], precision: Precision) -> bytes:
    """safetensors: length, then JSON with offsets, padded to 8 bytes so that numbers are aligned."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at, (dtype, size) = 0, DTYPES[precision]
    for p in parameters:
        table[p.name] = {"dtype": dtype, "shape": list(p.shape), "data_offsets": [at, at + size * p.size]}
        at += size * p.size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class _Threads(ExitStack):
    """Those of one save: two that hash, each a sum, as a sum takes bytes in their order; one waits for the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = [self.enter_context(ThreadPoolExecutor(1)) for _ in range(2)]
        self.disk = self.enter_context(ThreadPoolExecutor(1))
        self.closing: list[Future[None]] = []

    def close_file(self, file: ExitStack) -> None:
        """Make a written file durable while the next one is written."""
        self.closing.append(self.disk.submit(file.close))

    def require_closed(self) -> None:
        """Wait for the files so far.

        Raises: ResourceError: one of them could not be written.
        """
        for each in self.closing:
            each.result()


class _Hashing:
    """A file that is hashed as it is written, by two other threads: each byte goes into two sums."""

    def __init__(self, file: Direct, pools: Sequence[Executor]) -> None:
        self.file, self.pools, self.sum, self.size = file, pools, digest.running(), 0
        self.waiting: deque[tuple[int, Future[None]]] = deque()
        """What is still being hashed: bytes written before it and with it, and the work."""

    def write(self, data: bytes | memoryview, *also: Any) -> None:
        """Write and hash, into the sum `also` too. `data` may be hashed until a part's bytes more were written."""
        sums = (self.sum, *also)
        if len(data) < SMALL and not self.waiting:
            self.file.write(data)
            for each in sums:
                each.update(data)
            self.size += len(data)
            return
        self.size += len(data)
        self.waiting += [(self.size, pool.submit(each.update, data)) for pool, each in zip(self.pools, sums, strict=False)]
        self.file.write(data)
        self.wait(self.size - 4 * half())

    def wait(self, upto: int) -> None:
        """Until every byte before it is hashed, and those that went with it."""
        while self.waiting and self.waiting[0][0] <= upto:
            self.waiting.popleft()[1].result()


@dataclass(frozen=True, slots=True)
class _Written:
    """One file of a set, whose sums may still be under way."""

    path: Path
    kind: str
    dtype: str
    out: _Hashing
    sums: Mapping[Parameter, Any]

    def file(self) -> File:
        """As the manifest lists it."""
        self.out.wait(self.out.size)
        return File(path=self.path.name, size=self.out.size, sha256=self.out.sum.hexdigest())

    def rows(self) -> list[TensorRow]:
        """Its tensors as tensors.json lists them. After `file`."""
        told = {"set": self.kind, "file": self.path.name, "dtype": self.dtype}
        return [TensorRow(name=p.name, shape=p.shape, sha256=each.hexdigest(), **told) for p, each in self.sums.items()]


def _write_tensors(
    folder: Path,
    part: str,
    kind: str,
    parameters: Sequence[Parameter],
    parts: Parts,
    precision: Precision,
    threads: _Threads,
) -> _Written:
    """Write one file of a set."""
    sums = {p: digest.running() for p in parameters}
    path = folder / f"{kind}-{part}"
    with ExitStack() as stack:
        out = _Hashing(stack.enter_context(open_direct(path, threads.disk)), threads.sums)
        out.write(_header(parameters, precision))
        for parameter, data in parts:
            out.write(data, sums[parameter])
        threads.close_file(stack.pop_all())
    return _Written(path, kind, DTYPES[precision][0], out, sums)


def retain(checkpoints: Path, newest: int, keep: int, every: int, begin: int, back: int = 0) -> None:
    """Keep the `keep` newest checkpoints of the schedule (each `every` steps after `begin`) and `newest`; remove older ones.

    The newest `back` of the schedule stay in any case: training may go back to them.

    Raises: IntegrityError: `newest` is not as its manifest says; then nothing is removed.
    """
    if rows := differences(checkpoints / step_name(newest)):
        raise IntegrityError(
            "was not written as it should be",
            where=checkpoints / step_name(newest),
            cure="Check the disk, then run the same command again",
            evidence=rows,
        )
    prune(checkpoints, newest, keep, every, begin, back)
