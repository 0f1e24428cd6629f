"""Planted leaks found: `python -m tests.bench.leaks [--items 1000]`, once `dvc repro dedup` has built nano.

Items of nano's benchmarks, and the questions with an answer of JioNLP's own Chinese test, are written in many ways into texts of
their own. Recall: texts of a way in which the item is found. Precision: matches that are right, among those in the planted texts
and in nano's text of other kinds (code, Chinese, generated sums and puzzles), where every match is taken to be wrong. Nano's
encyclopaedias are not clean text: BoolQ is about the same articles.
"""

import argparse
import json
import random
import re
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.unit.data.leak_kit import NORMAL, Way, plant, ways
from yulan.data import frames
from yulan.data.benchmarks import Item, items
from yulan.data.leaks import Index, Match
from yulan.layout import Layout, find_root
from yulan.recipe import load_recipe
from yulan.recipe.corpus import Decontaminate

CLEAN = ("code/django", "code/networkx", "code/sympy", "math/arithmetic", "reasoning/logic", "zh/characters", "zh/words")
CHINESE = "jionlp/dictionary/jionlp_LLM_test/jionlp_LLM_test_1.{}.json"
TRADITIONAL = "jionlp/dictionary/sim2tra_char.txt"
BATCH = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One set of items, the index of it, and texts that hold none of it."""

    name: str
    items: Sequence[Item]
    index: Index
    planted: dict[str, list[str]]
    clean: Sequence[str]

    def recall(self) -> dict[str, float]:
        found = {level: self.search(texts) for level, texts in self.planted.items()}
        return {
            level: sum(any(match.item == item.id for match in row) for item, row in zip(self.items, rows, strict=True))
            / len(rows)
            for level, rows in found.items()
        }

    def wrong(self) -> tuple[int, list[tuple[str, Match]]]:
        """Matches of the planted texts as they are, and those of clean texts."""
        right = sum(
            any(m.item == item.id for m in row)
            for item, row in zip(self.items, self.search(self.planted["verbatim"]), strict=True)
        )
        return right, [(text, match) for text, row in zip(self.clean, self.search(self.clean), strict=True) for match in row]

    def search(self, texts: Sequence[str]) -> list[list[Match]]:
        batches = (list(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH))
        return [row for batch in batches for row in self.index.search(batch)]


def chinese(wheel: Path) -> list[Item]:
    """Questions of JioNLP's test that have an answer; choices and answer as the question spells them."""
    found: dict[str, Item] = {}
    with zipfile.ZipFile(wheel) as package:
        for version in range(3):
            for number, line in enumerate(package.read(CHINESE.format(version)).decode().splitlines()):
                row = json.loads(line) if line.strip() else {}
                if answer := str(row.get("correct_answer", "")):
                    found[row["question"]] = _choices(f"1.{version}/{number}", row["question"], answer)
    return list(found.values())


def _choices(identity: str, question: str, answer: str) -> Item:
    """`…？A. x，B. y` with answer A is a question with two choices; any other is one with its answer."""
    asked, *told = re.split(r"[A-H](?:\. |、)", question)
    choices = tuple(part.strip(" ，,。") for part in told)
    if len(choices) > 1 and len(answer) == 1 and 0 <= ord(answer) - ord("A") < len(choices):
        return Item(id=identity, question=asked, choices=choices, answer=ord(answer) - ord("A"))
    return Item(id=identity, question=question, choices=(answer,), answer=0)


def traditional(wheel: Path) -> Way:
    """Simplified characters by their traditional ones."""
    with zipfile.ZipFile(wheel) as package:
        pairs = [line.split("\t") for line in package.read(TRADITIONAL).decode().splitlines() if "\t" in line]
    table = str.maketrans({pair[0]: pair[1] for pair in pairs})
    return lambda item, _: item.text.translate(table)


def texts_of(folder: Path, names: Sequence[str]) -> list[str]:
    return [text for name in names for text in frames.read(frames.parts(folder, name))["text"].to_pylist()]


def trials(root: Path, count: int, ngram: int | None) -> Iterator[Trial]:
    book, layout = load_recipe(root, "nano"), Layout(root=root, recipe="nano")
    sources, rules = layout.stage("sources").data, book.recipe.data.decontaminate
    rules = replace(rules, ngram=ngram or rules.ngram)
    clean = texts_of(layout.stage("dedup").data, CLEAN)
    known = sorted({word for text in texts_of(layout.stage("dedup").data, ["en/wiki"])[:500] for word in text.split()})
    draw = random.Random(4)
    for name in ("arc_easy", "boolq"):
        some = list(items(sources, book.sources.benchmarks[name]))
        draw.shuffle(some)
        yield _trial(name, some[:count], rules, ways(known, known), clean)
    wheel = layout.downloads / book.sources.packages["jionlp"].sha256
    signs = sorted(
        {sign for text in texts_of(layout.stage("dedup").data, ["zh/words"])[:50] for sign in text if sign >= "\u4e00"}
    )
    yield _trial("Chinese", chinese(wheel), rules, ways(known, signs) | {"traditional characters": traditional(wheel)}, clean)


def _trial(name: str, some: Sequence[Item], rules: Decontaminate, levels: dict[str, Way], clean: Sequence[str]) -> Trial:
    index = Index({name: some}, rules)
    sought = [item for item in some if Index({name: [item]}, rules).searched[name]]
    return Trial(
        name=f"{name} ({len(sought):,} of {len(some):,} items)",
        items=sought,
        index=index,
        planted=plant(sought, levels, 5),
        clean=clean,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000, help="of each of nano's benchmarks")
    parser.add_argument("--ngram", type=int, help="words in a row that count; default: as nano's recipe says")
    told = parser.parse_args()
    made = list(trials(find_root(), told.items, told.ngram))
    rows = [trial.recall() for trial in made]
    print(f"{'recall':36}" + "".join(f"{trial.name:>32}" for trial in made))
    for level in dict.fromkeys(level for row in rows for level in row):
        print(f"{level:36}" + "".join(f"{row[level]:32.3f}" if level in row else f"{'–':>32}" for row in rows))
    for trial in made:
        size, began = sum(map(len, trial.clean)) / 1e6, time.process_time()
        right, wrong = trial.wrong()
        speed = size / (time.process_time() - began)
        print(f"{trial.name}: {len(wrong)} matches in {len(trial.clean):,} clean texts ({size:.1f} M characters), ", end="")
        print(f"precision {right / (right + len(wrong)):.4f}, {speed:.0f} M characters a CPU second")
        for text, match in wrong[:5]:
            print(f"  {match.kind} {match.field} of {match.item}: {text[match.start : match.end]!r}")
    missed = [level for row in rows for level in NORMAL if row[level] < 1]
    if missed:
        raise SystemExit(f"a leak of another form only was missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
