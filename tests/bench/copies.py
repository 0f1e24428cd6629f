"""Near copies found by us and by datatrove among the same planted ones: `python -m tests.bench.copies [--copies 2000]`, after
`make peers`.

Texts of nano's encyclopaedias, of a hundred words and more, are copied with 2, 5, 10 or 20 % of their words replaced. Recall:
copies that are in one group with their original. Precision: of the documents beyond the first of their group, those with another
one in it at a Jaccard similarity of 0.5 or more. `--speed` takes 40 MB of pages instead and times both, in turns.
"""

import argparse
import json
import random
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

from tests.bench import pairs
from tests.bench.pages import pages
from tests.bench.pairs import Aim
from tests.bench.turns import Turn, Watch, in_turns, told
from yulan.data import frames
from yulan.data.dedup.minhash import find_copies
from yulan.data.words import words
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.recipe.corpus import Dedup

EDITS = (0.02, 0.05, 0.1, 0.2)


def plant(texts: list[str], copies: int, seed: int) -> tuple[list[str], dict[float, list[tuple[int, int]]]]:
    """The texts with edited copies behind them, and (original, copy) rows for each share of edited words."""
    draw = random.Random(seed)
    known = sorted({word for text in texts[:500] for word in text.split()})
    made, pairs = list(texts), defaultdict(list)
    for row, share in enumerate(share for _ in range(copies) for share in EDITS):
        pieces = texts[row].split(" ")
        pairs[share].append((row, len(made)))
        made.append(" ".join(draw.choice(known) if draw.random() < share else piece for piece in pieces))
    return made, pairs


def score(groups: Sequence[Hashable], texts: list[str], pairs: dict[float, list[tuple[int, int]]]) -> dict[str, float]:
    found = {f"recall at {share:.0%}": sum(groups[a] == groups[b] for a, b in rows) / len(rows) for share, rows in pairs.items()}
    members = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    right = wrong = 0
    for rows in members.values():
        shingled = [shingles(texts[row]) for row in rows] if len(rows) > 1 else []
        for at in range(1, len(shingled)):
            near = any(jaccard(shingled[at], other) >= 0.5 for other in (*shingled[:at], *shingled[at + 1 :]))
            right, wrong = right + near, wrong + (not near)
    return found | {"precision": right / (right + wrong), "dropped": right + wrong}


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    found = words(text)
    return frozenset(tuple(found[at : at + 5]) for at in range(max(1, len(found) - 4)))


def jaccard(one: frozenset[tuple[str, ...]], two: frozenset[tuple[str, ...]]) -> float:
    return len(one & two) / len(one | two)


def theirs(root: Path, texts: list[str]) -> tuple[list[Hashable], Turn]:
    folder = root / ".cache/peers/copies"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    command = [root / ".cache/peers/bin/python", root / "tests/bench/peers/datatrove_minhash.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    groups = json.loads((folder / "groups.json").read_text(encoding="utf-8"))
    return [-1 - row if group is None else group for row, group in enumerate(groups)], told(done.stdout)


def speed(root: Path, rules: Dedup, megabytes: float, rounds: int) -> None:
    texts = pages(root / "artifacts/nano/raw/data", megabytes, seed=1)
    size = sum(len(text.encode()) for text in texts) / 1e6

    def mine() -> Turn:
        with Watch() as watch:
            find_copies(texts, rules)
        return watch.turn

    find_copies(texts[:10], rules)
    contenders = {"ours": mine, "datatrove": lambda: theirs(root, texts)[1]}
    lines = in_turns("de-duplicate, MinHash", contenders, size, rounds, Aim(at="least", value=10), warmup=0)
    print(f"{len(texts):,} texts, {size:.1f} MB")
    print(pairs.head())
    pairs.show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=2000, help="of each share")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--megabytes", type=float, default=40, help="with --speed")
    parser.add_argument("--rounds", type=int, default=3, help="with --speed")
    parser.add_argument("--quick", action="store_true", help="1 MB, one round")
    asked, root = parser.parse_args(), find_root()
    copies, rules = 50 if asked.quick else asked.copies, load_recipe(root, "nano").recipe.data.dedup
    if asked.speed:
        return speed(root, rules, 1 if asked.quick else asked.megabytes, 1 if asked.quick else asked.rounds)
    folder = root / "artifacts/nano/raw/data"
    raw = frames.read([path for name in ("en/passages", "en/wiki") for path in frames.parts(folder, name)])["text"].to_pylist()
    raw = [text for text in dict.fromkeys(raw) if len(text.split()) >= 100]
    random.Random(2).shuffle(raw)
    texts, planted = plant(raw[: len(EDITS) * copies], min(copies, len(raw) // len(EDITS)), seed=3)
    find_copies(texts[:10], rules)
    mine = find_copies(texts, rules).near.tolist()
    other, _ = theirs(root, texts)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} texts, {size:.1f} MB, {len(planted[EDITS[0]]):,} copies of each share")
    ours, peers = score(mine, texts, planted), score(other, texts, planted)
    for name, value in ours.items():
        print(f"{name:14} {value:10.4g} {peers[name]:10.4g}")
    return None


if __name__ == "__main__":
    main()
