"""A publication beside the stock client's own upload of the same bytes: `python -m tests.bench.publish [--megabytes 300]`.

Three repositories of random weights go to a rehearsal hub that is new each time, in turns, each from a process of its own. Ours
begins, as the command does, with a hash of every byte, and ends with the trees read back and compared; the peer hashes each
file once and compares nothing. Both use LFS. Memory: the peak of ours above what it held before it began.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tests.bench import pairs
from tests.bench.pairs import Aim
from tests.unit.release.kit import FINAL, NAME, STABLE, fill, judge, start_git
from yulan import files
from yulan.layout import Layout, find_root
from yulan.rehearsal import running_hub
from yulan.release.hub import Hub
from yulan.release.publish import How, publish
from yulan.release.ready import require_judged
from yulan.release.release import Half, Release, write_release

RECIPE = "bench"
MEMORY = 64.0
"""MB."""


def weights(draw: np.random.Generator, megabytes: float) -> bytes:
    return save({"w": draw.integers(0, 256, int(megabytes * 1e6), dtype=np.uint8)})


def make(folder: Path, megabytes: float) -> None:
    """Two checkpoints, whose states are twice their weights, `main` that is the second one, and data of a tenth."""
    draw, unit = np.random.default_rng(0), megabytes / 6.2
    data = {"main": fill(folder / "data" / "main", {"packs/pieces.safetensors": weights(draw, unit / 5)})}
    states = {
        name: fill(folder / "states" / name, {f"checkpoint/{n}.safetensors": weights(draw, unit) for n in range(2)})
        for name in (STABLE, FINAL)
    }
    states["main"] = fill(folder / "states" / "main", {"recipes/bench/recipe.yaml": b"name: bench\n"})
    model = {
        name: fill(folder / "model" / name, {"model.safetensors": weights(draw, unit)}, data__main=data["main"])
        for name in (STABLE, FINAL)
    }
    files.link_tree(folder / "model" / FINAL, folder / "model" / "main")
    tags = {"final": FINAL, "before-annealing": STABLE}
    release = Release(
        format=1,
        name=NAME,
        recipe=RECIPE,
        data=Half(revisions=data, tags={"final": "main"}),
        states=Half(revisions=states, tags=tags),
        model=Half(revisions={**model, "main": model[FINAL]}, tags=tags | {"final": "main"}),
    )
    write_release(folder, release)


def work(root: Path, url: str, token: str) -> None:
    """Publish, and print seconds and bytes of memory above those at the start."""
    layout = Layout(root=root, recipe=RECIPE)
    hub = Hub(url, token)
    hub.who()
    before = _memory("VmRSS")
    # From here on the kernel counts the peak anew.
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    publish(require_judged(layout), layout, hub, "0" * 40, lambda _: None, How(every=True))
    print(time.perf_counter() - began, _memory("VmHWM") - before)


def _memory(key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) << 10 if found else 0


def on_a_new_hub(command: list[str], told: Callable[[list[float]], object], **env: str) -> float:
    """Seconds that a publisher tells; what else it tells goes to `told`."""
    with tempfile.TemporaryDirectory(prefix="yulan-bench-hub-") as folder, running_hub(Path(folder) / "hub") as hub:
        words = [word.format(url=hub.url, token=hub.token) for word in command]
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ | env)
    figures = [float(word) for word in done.stdout.split()]
    told(figures[1:])
    return figures[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--work", nargs=3, metavar=("ROOT", "URL", "TOKEN"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(Path(asked.work[0]), *asked.work[1:])
        return
    peer = find_root() / "tests" / "bench" / "peers" / "upload.py"
    memory: list[float] = []
    with tempfile.TemporaryDirectory(prefix="yulan-bench-") as folder:
        layout = Layout(root=Path(folder), recipe=RECIPE)
        make(layout.stage("bundle").data, asked.megabytes)
        judge(layout)
        start_git(layout.root)
        ours = [sys.executable, "-m", "tests.bench.publish", "--work", folder, "{url}", "{token}"]
        stock = [sys.executable, str(peer), "{url}", "{token}", str(layout.stage("bundle").data)]
        contenders = {
            "ours": lambda: on_a_new_hub(ours, memory.extend),
            "stock": lambda: on_a_new_hub(stock, lambda _: None, HF_HUB_DISABLE_XET="1"),
        }
        found = pairs.rounds(contenders, asked.pairs)
    name = f"publish {asked.megabytes:,.0f} MB"
    seconds = "{:.2f} s".format
    print(pairs.head())
    pairs.show(
        [
            pairs.ratio(f"{name}, stock client", found["ours"], found["stock"], told=seconds, aim=Aim(at="most", value=1.15)),
            pairs.figure(
                f"{name}, memory in MB", np.array(memory) / 1e6, told="{:.0f} MB".format, aim=Aim(at="most", value=MEMORY)
            ),
        ]
    )


if __name__ == "__main__":
    main()
