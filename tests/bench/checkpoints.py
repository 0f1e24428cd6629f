"""Saves and loads of 516 MB of states: `python -m tests.bench.checkpoints`.

Durable save: ours (hashed twice, manifest and all, fsynced) against torch.save of the same tensors and fsync. Verified
load: every file hashed and every number copied to where training holds it, against the larger of plain hashing (the same
files, as many threads) and plain safetensors loading. Both from the page cache. Stall: how long `Saver.snapshot` holds up
the training against a whole synchronous save (gathered, written, read back), on one rank and on two.
"""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from tests.bench import pairs, ranks
from tests.bench.pairs import Aim, Line
from tests.bench.peers import saves
from tests.bench.states import States
from yulan.layout import find_root
from yulan.train.checkpoint.read import read_whole
from yulan.train.checkpoint.saver import Saver
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.stream import KINDS
from yulan.train.checkpoint.write import retain, write_checkpoint

SAVES, LOADS, STALLS = 10, 15, 8
STEP = 4


def save(states: States, folder: Path) -> Line:
    tensors = {"/".join(key): numbers for key, (_, numbers) in states.pieces.items()}
    work = {
        "ours": lambda: write_checkpoint(folder / step_name(STEP), states.state, states.every, states.fragment),
        "torch": lambda: saves.save(tensors, folder / "peer.pt"),
    }
    times = pairs.interleave(work, SAVES)
    name, aim = "durable save / torch.save + fsync", Aim(at="most", value=1.25)
    return pairs.ratio(name, times["ours"], times["torch"], told=pairs.milliseconds, aim=aim)


def load(states: States, folder: Path) -> Line:
    """Loads what `save` left in the folder."""
    paths = sorted(folder.glob(f"{step_name(STEP)}/*.safetensors"))
    files = {kind: next(path.name for path in paths if path.name.startswith(f"{kind}-")) for kind in KINDS}
    held = {f"{file}/{p.name}": torch.ones(p.shape) for file in files.values() for p in states.every}

    def ours() -> None:
        found = read_whole(folder / step_name(STEP), states.every)
        for kind, file in files.items():
            for p in states.every:
                held[f"{file}/{p.name}"].copy_(found.tensor(p.name, kind))

    def hashing() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(saves.digest, paths))

    times = pairs.interleave({"ours": ours, "hashing": hashing, "loading": lambda: saves.load(paths, held)}, LOADS)
    name, aim = "verified load / max(hashing, loading)", Aim(at="most", value=1.25)
    larger = np.maximum(times["hashing"], times["loading"])
    return pairs.ratio(name, times["ours"], larger, told=pairs.milliseconds, aim=aim)


def stall(folder: Path) -> None:
    """On each rank of a torchrun: the lead tells the line."""
    dist.init_process_group("gloo")
    rank, count = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    states, saver = States(rank, count), Saver()
    fragment = saver.snapshot(states.every, states.fragment)

    def write() -> None:
        write_checkpoint(folder / step_name(STEP), states.state, states.every, fragment, lead=rank == 0, group=saver.group)
        if rank == 0:
            retain(folder, STEP, keep=1, every=1, begin=0)
        dist.barrier(saver.group)

    def whole() -> None:
        dist.barrier()
        write()

    def snapshot() -> None:
        dist.barrier()
        saver.snapshot(states.every, states.fragment)
        dist.barrier()

    times = pairs.interleave({"ours": snapshot, "whole": whole}, STALLS)
    if rank == 0:
        name, aim = f"stall of a save / synchronous save, {count} rank{'s' * (count > 1)}", Aim(at="most", value=0.10)
        ranks.tell([pairs.ratio(name, times["ours"], times["whole"], told=pairs.milliseconds, aim=aim)])
    dist.barrier()


def lines() -> list[Line]:
    torch.set_num_threads(1)
    # On the disk that runs are written to: a folder for temporary files may lie in memory.
    found, place = [], find_root() / "runs"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as name:
        states = States()
        print(f"checkpoints: {states.size / 1e6:,.0f} MB ...", file=sys.stderr)
        found += [save(states, Path(name)), load(states, Path(name))]
    for count in (1, 2):
        print(f"checkpoints: stall on {count} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=place) as name:
            found += ranks.lines_of("tests.bench.checkpoints", count, name)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        stall(Path(sys.argv[1]))
    else:
        pairs.show(lines())
