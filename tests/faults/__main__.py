"""`make faults`: bring about every fault of the table, and print what came of it.

`--only ROW` (again for more), `--trials N`, `--trial K` (that one alone), `--sample` (few of each), `--keep` (leave folders).
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from tests.faults import warm
from tests.faults.rows import ROWS, SEED, Result, Row, Trial, now, table

FAMILIES = ("writer", "power", "disk", "damage", "runs", "ranks", "layouts", "numbers", "services", "publishing")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", action="append", metavar="ROW")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--trial", type=int)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--keep", action="store_true")
    told = parser.parse_args()
    began = now()
    for family in FAMILIES:
        importlib.import_module(f"tests.faults.{family}")
    from tests.faults.ground import House

    unknown = set(told.only or ()) - ROWS.keys()
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    rows = [row for row in ROWS.values() if not told.only or row.name in told.only]
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    print(f"faults: {len(rows)} rows, seed {SEED}, {os.cpu_count()} cores, below {root}", flush=True)
    warm.warm_up()
    house = House(root)
    results = []
    for row in rows:
        count = row.sample if told.sample else told.trials or row.trials
        numbers = [told.trial] if told.trial is not None else range(count)
        if numbers:
            results.append(play(row, list(numbers), house, keep=told.keep))
    print(f"\n{table(results)}\n\n{now() - began:.0f} seconds in all")
    failed = any(result.failed for result in results)
    if not (told.keep or failed):
        shutil.rmtree(root, ignore_errors=True)
    return int(failed)


def play(row: Row, numbers: list[int], house: object, *, keep: bool) -> Result:
    result = Result(row=row)
    began = now()
    for number in numbers:
        folder = house.root / row.name / str(number)
        folder.mkdir(parents=True)
        trial = Trial(row=row.name, number=number, folder=folder, house=house, seen=result.seen)
        result.trials += 1
        try:
            row.play(trial)
        except Exception as error:
            result.failed[number] = f"{type(error).__name__}: {error}"
            print(f"NOT AS STATED {row.name} #{number}: {error or type(error).__name__}", flush=True)
            traceback.print_exc()
            print(f"  alone: python -m tests.faults --only {row.name} --trial {number} --keep; it left {folder}", flush=True)
        else:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
    result.seconds = now() - began
    good = result.trials - len(result.failed)
    print(f"{row.name:<16} {good:>5} of {result.trials:>5} as stated, {result.seconds:6.1f} s", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
