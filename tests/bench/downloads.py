"""Pull and verify: `python -m tests.bench.downloads [--pairs 20] [--clock wall|processor]`.

Pull: 286 MB (four shards of 64 MB, one of 16, forty files of 10 kB), and one file of 256 MB, from a hub in a process of its
own on this machine, into a new folder, against huggingface_hub's `snapshot_download` of the same revision from the same hub.
Ours is hashed, held against the lists and fsynced; the peer's is not. What either left to be written is written before the
next begins. Verify: the 286 MB, and 1.1 GB in files four times as large, out of the page cache, against sha256 of as many bytes
that lie in memory, on every core at once.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import HfApi

from tests.bench import pairs
from tests.bench.pairs import Aim, Clock, Line
from tests.bench.peers import hub_download
from yulan import digest, files
from yulan.layout import find_root
from yulan.rehearsal import running_hub
from yulan.release.hub import Hub
from yulan.release.names import parse
from yulan.release.pull import pull
from yulan.release.seal import seal
from yulan.release.verify import verify_folder

REPO = "bench/release"
PAIRS = 20
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}
"""The second counts this process alone, not the hub: what tells on a machine with other work."""


def make(folder: Path, shard: int = 64 << 20) -> int:
    """A release of random bytes in several files; returns its size."""
    for number in range(4):
        files.write_bytes(folder / f"model-{number}.safetensors", os.urandom(shard))
    files.write_bytes(folder / "tokenizer.bin", os.urandom(shard // 4))
    for number in range(40):
        files.write_bytes(folder / "small" / f"{number}.bin", os.urandom(10_000))
    return _seal(folder)


def make_one(folder: Path) -> int:
    """One file, which only one connection can bring."""
    files.write_bytes(folder / "model.safetensors", os.urandom(256 << 20))
    return _seal(folder)


def _seal(folder: Path) -> int:
    files.write_text(folder / "README.md", "# bench\n")
    return seal(folder, name="bench/model/main", inputs={}, keys={}, summary={}).size


def pull_line(what: str, folder: Path, place: Path, count: int, clock: Clock) -> Line:
    with running_hub(place / f"hub of {what}") as served:
        api = HfApi(endpoint=served.url, token=served.token)
        api.create_repo(REPO)
        api.upload_folder(repo_id=REPO, folder_path=folder)
        hub, address = Hub(served.url, None), parse(f"hf://{REPO}")

        def timed(work: Callable[[Path], object]) -> Callable[[], float]:
            def run() -> float:
                into = place / "into"
                os.sync()
                began = clock()
                work(into)
                took = clock() - began
                files.remove(into)
                return took

            return run

        work = {
            "ours": timed(lambda into: pull(hub, address, into, None, lambda _: None)),
            "peer": timed(lambda into: hub_download.download(served.url, REPO, into)),
        }
        times = pairs.rounds(work, count)
    name, aim = f"pull, verified and durable / snapshot_download, {what}", Aim(at="most", value=1.15)
    return pairs.ratio(name, times["ours"], times["peer"], told=pairs.milliseconds, aim=aim)


def verify_line(folder: Path, size: int, count: int, clock: Clock) -> Line:
    cores = os.cpu_count() or 1
    block = os.urandom(size // cores)

    def hashing() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(digest.of_bytes, [block] * cores))

    times = pairs.interleave({"ours": lambda: verify_folder(folder), "hashing": hashing}, count, clock=clock)
    name, aim = f"verify of {size / 1e6:,.0f} MB, rate / that of sha256 in memory, all cores", Aim(at="least", value=0.9)
    return pairs.ratio(name, times["hashing"], times["ours"], told=lambda s: f"{size / s / 1e6:,.0f} MB/s", aim=aim, ours="under")


def lines(count: int = PAIRS, clock: Clock = time.perf_counter) -> list[Line]:
    # On the disk that runs are written to: a folder for temporary files may lie in memory.
    place = find_root() / "runs"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder, large, one = (Path(name) / each for each in ("made", "large", "one"))
        size = make(folder)
        print(f"downloads: {size / 1e6:,.0f} MB ...", file=sys.stderr)
        make_one(one)
        return [
            pull_line("45 files", folder, Path(name), count, clock),
            pull_line("one file", one, Path(name), count, clock),
            verify_line(folder, size, count, clock),
            verify_line(large, make(large, 256 << 20), count, clock),
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    given = parser.parse_args()
    pairs.show(lines(given.pairs, CLOCKS[given.clock]))
