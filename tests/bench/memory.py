"""Peak memory of the stages on text at two sizes: `python -m tests.bench.memory [--sizes 400 1200] [--family encyclopaedia]`.

nano's raw text (build that stage first), each copy of a document with a number of its own, is written as JSON lines below a
temporary folder (about four times the larger size), read by `raw` with parts of 64 MB, and given to `clean`, `decontaminated` and
`dedup`, each in a process of its own whose peak of resident memory the kernel tells.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from yulan.data import frames
from yulan.data.benchmarks import items
from yulan.data.clean import clean
from yulan.data.decontaminate import decontaminate
from yulan.data.dedup import dedup
from yulan.data.raw import write_raw
from yulan.layout import find_root
from yulan.recipe import Book, load_recipe
from yulan.recipe.sources import Source

NAME = "bench/text"
FILE = 100_000_000
"""Bytes of a file of lines."""
STAGES = ("raw", "clean", "decontaminated", "dedup")


def texts(folder: Path) -> Iterator[str]:
    """nano's documents over and over, each time with another number at their end."""
    paths = [path for name, path in frames.every_part(folder) if name.startswith("en/")]
    known = frames.read(paths)["text"].to_pylist() if paths else []
    number = 0
    while known:
        for text in known:
            number += 1
            yield f"{text} This copy of the text has the number {number}."


def write_lines(folder: Path, size: int, raw: Path) -> int:
    """Returns: bytes of text."""
    made, found = 0, texts(raw)
    folder.mkdir(parents=True)
    for number in range(-(-size // FILE)):
        with (folder / f"{number:03}.jsonl").open("wb") as file:
            while file.tell() < FILE and made < size:
                text = next(found)
                made += len(text.encode())
                file.write(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n")
    return made


def source(family: str, book: Book) -> dict[str, Source]:
    wiki = book.sources.sources["en/wiki"]
    about = replace(
        wiki, family=family, package="bench", reader="rows", options={"column": "text"}, paths=("*.jsonl",), exclude=()
    )
    return {NAME: about}


def work(stage: str, folder: Path, family: str) -> None:
    root = find_root()
    book = load_recipe(root, "nano")
    data, sources, into = book.recipe.data, source(family, book), folder / stage
    if stage == "raw":
        write_raw(sources, folder, into)
    elif stage == "clean":
        clean(sources, data.clean, folder / "raw", into)
    elif stage == "dedup":
        dedup(sources, [folder / "raw"], data.dedup, into)
    else:
        there = root / "artifacts/nano/sources/data"
        asked = sorted({task.benchmark for task in book.recipe.evaluate.tasks.values()})
        decontaminate(
            {name: list(items(there, book.sources.benchmarks[name])) for name in asked}, data.decontaminate, folder / "raw", into
        )


def measured(stage: str, folder: Path, family: str) -> tuple[int, float]:
    """Peak in bytes, and seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.bench.memory", "--work", stage, "--folder", str(folder), "--family", family]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(told.split()[-1]) << 10, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[400, 1200], help="MB of text")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--family", default="encyclopaedia", help="whose filters clean")
    parser.add_argument("--work", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.folder, asked.family)
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
        print(found[1] if found else 0)
        return
    raw = find_root() / "artifacts/nano/raw/data"
    print(f"{'stage':15} {'text':>8} {'documents':>10} {'peak':>8} {'seconds':>8}", flush=True)
    for size in asked.sizes:
        with tempfile.TemporaryDirectory(prefix="yulan-memory-") as made:
            folder = Path(made)
            written = write_lines(folder / "bench", size * 1_000_000, raw)
            for stage in dict.fromkeys(("raw", *asked.stages)):
                peak, seconds = measured(stage, folder, asked.family)
                count = sum(len(frames.read([path])) for path in frames.parts(folder / "raw", NAME))
                row = f"{stage:15} {written / 1e6:6.0f} MB {count:10,} {peak / 1e6:5.0f} MB {seconds:8.0f}"
                print(row, flush=True)


if __name__ == "__main__":
    main()
