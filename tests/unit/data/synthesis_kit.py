"""A model that says what a test wants, and a folder with seeds, templates and a ledger around it."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from yulan import digest
from yulan.data import sandbox
from yulan.data.synthesize import Families, synthesize
from yulan.data.synthesize.engine import Answer, Finish, Request, Sampling
from yulan.data.synthesize.ledger import Ledger
from yulan.recipe.sources import Source
from yulan.recipe.synthesis import Family, Judge, Synthesize

SEEDS = [f"Seed {n}: a train leaves at {n}." for n in range(6)]
needs_sandbox = pytest.mark.skipif(sandbox.why_not() is not None, reason=f"no sandbox here: {sandbox.why_not()}")


class Scripted:
    """Says what a function makes of (prompt, seed)."""

    digest = digest.of_bytes(b"scripted")

    def __init__(self, say: Callable[[str, int], str], finish: Finish = "stop") -> None:
        self.say, self.finish = say, finish
        self.prompts: list[str] = []

    def answers(self, requests: Sequence[Request], _: Sampling, done: Collection[int]) -> Iterator[tuple[int, Answer]]:
        for i, request in enumerate(requests):
            if i not in done:
                self.prompts.append(request.prompt)
                yield i, Answer(text=self.say(request.prompt, request.seed), finish=self.finish)


class Bench:
    """A folder with seeds, templates and a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rounds = folder, 0
        (folder / "seeds").mkdir()
        self.seed(SEEDS)

    def seed(self, texts: list[str]) -> None:
        for n, text in enumerate(texts):
            (self.folder / f"seeds/{n}.py").write_text(text, encoding="utf-8")

    def make(self, engine: Scripted, template: str = "About {text}", judge: Judge | None = None, **keys: object) -> Families:
        (self.folder / "it.txt").write_text(template, encoding="utf-8")
        (self.folder / "judge.txt").write_text("Judge: {text}", encoding="utf-8")
        told = {
            "rows": 6,
            "samples": 1,
            "max_new_tokens": 99,
            "temperature": 0.5,
            "top_p": 1.0,
            "stop": (),
            "options": {},
            **keys,
        }
        if "task" not in dict(told["options"]):  # type: ignore[call-overload]
            told["options"] = {"source": "seeds", **dict(told["options"])}  # type: ignore[call-overload]
        family = Family(**told)  # type: ignore[arg-type]
        asked = Synthesize(model=None, batch=3, seed=7, min_yield=0.0, judge=judge, families={"it": family})
        source = Source(
            family="en", language="en", licence="unknown", attribution="", hub=None, package="seeds", reader="code", options={},
            paths=("*.py",), exclude=(),
        )  # fmt: skip
        self.rounds += 1
        ledger = Ledger(self.folder / f"ledger-{self.rounds}")
        try:
            return synthesize(asked, {"seeds": source}, self.folder, self.folder, engine, ledger, self.folder / "data")
        finally:
            os.close(ledger.lock)

    def rows(self, name: str = "synthetic/it/00000.parquet") -> list[dict[str, object]]:
        found: list[dict[str, object]] = pq.read_table(self.folder / "data" / name, partitioning=None).to_pylist()
        return found
