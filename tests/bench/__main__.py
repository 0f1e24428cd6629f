"""All benches that hold ours against peers, one table at the end: `python -m tests.bench`. Nothing is written into the repo."""

import sys
import time

from tests.bench import checkpoints, downloads, loader, pairs, reduction, steps


def main() -> None:
    found, began = [], time.perf_counter()
    parts = (
        loader.lines,
        checkpoints.lines,
        downloads.lines,
        steps.lines,
        lambda: steps.lines(2),
        lambda: reduction.lines(count=30),
    )
    for part in parts:
        for line in part():
            print(line.row(), file=sys.stderr, flush=True)
            found.append(line)
    print(pairs.head())
    pairs.show(found)
    print(f"{time.perf_counter() - began:,.0f} s")


if __name__ == "__main__":
    main()
