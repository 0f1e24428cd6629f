"""A small clone's checkpoint and its released forms, and data sets of a suite's tasks in the schemas that they have on a hub."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.evaluate.conftest import MODEL, SETTINGS
from yulan import files
from yulan.cli import main
from yulan.data import tokenizer
from yulan.evaluate.asked import Data
from yulan.evaluate.evaluated import Evaluated, read_evaluated
from yulan.layout import Layout
from yulan.manifest import Determinism
from yulan.model.shape import parameters
from yulan.recipe import Book, load_recipe
from yulan.release.export import End, export
from yulan.train.checkpoint.state import GENESIS, Chain, Cursor, State
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import training_keys

ROOT = Path(__file__).resolve().parents[3]
CONTEXT = 400
Rows = Sequence[Mapping[str, Any]]


def small_book() -> Book:
    """The nano recipe with a vocabulary of bytes and a context that a few questions fit in."""
    book = load_recipe(ROOT, "nano")
    recipe = book.recipe
    phases = {name: dataclasses.replace(phase, context=CONTEXT) for name, phase in recipe.phases.items()}
    data = dataclasses.replace(
        recipe.data,
        tokenizer=dataclasses.replace(SETTINGS),
        shards=dataclasses.replace(recipe.data.shards, held_out=200),
    )
    asked = dataclasses.replace(recipe.evaluate, held_out_tokens=3000)
    return dataclasses.replace(book, recipe=dataclasses.replace(recipe, model=MODEL, phases=phases, data=data, evaluate=asked))


def write_tokenizer(folder: Path) -> Path:
    tokenizer.save(tokenizer.train(iter(["a"]), SETTINGS, begin_with_bos=False), folder, SETTINGS)
    return folder


def write_trained(layout: Layout, book: Book, phase: str, seed: int) -> Path:
    """A checkpoint at a phase's end, as the trainer writes it, its numbers drawn."""
    recipe = book.recipe
    draw = torch.Generator().manual_seed(seed)
    shapes = {p.name: p.shape for p in parameters(recipe.model)}
    step = recipe.start(phase) + recipe.phase(phase).steps
    folder = layout.stage("train", phase).data / "checkpoints" / f"step-{step:06d}"
    state = State(
        format=1,
        recipe=recipe.name,
        keys=recipe.keys(*training_keys(recipe, phase)),
        global_step=step,
        phase_step=recipe.phase(phase).steps,
        tokens=1000 * step,
        cursor=Cursor(phase=phase, windows=recipe.phase(phase).windows),
        skipped=(),
        adam_step=step,
        lr=0.01,
        rng="00",
        chain=Chain(metrics=GENESIS, replay=GENESIS),
        trajectory="EXACT",
        fresh_optimizer=False,
        determinism=Determinism(isa="test", threads=1, ranks=1, torch="0", zero=1, precision="fp32", attention="sdpa"),
    )
    write_checkpoint(
        folder,
        state,
        parameters(recipe.model),
        lambda name, _: (0, torch.randn(shapes[name], generator=draw).mul(0.2).view(-1)),
        moments=None,
    )
    return folder


def write_released(checkpoint: Path, book: Book, phase: str, words: Path, into: Path, *, final: bool) -> Path:
    """A model folder: folded into Llama if it is a final, else yulanmini."""
    step = int(checkpoint.name.removeprefix("step-"))
    export(End(phase=phase, step=step, folder=checkpoint, final=final), book.recipe, words, into)
    return into


def write_data_set(folder: Path, name: str, splits: Mapping[str, Rows]) -> None:
    """One configuration of a data set as its download from a hub lies on a disk."""
    for split, rows in splits.items():
        files.write_rows(folder / name / f"{split}.jsonl", [dict(row) for row in rows])
    card = folder / "README.md"
    told = json.loads(card.read_text(encoding="utf-8").split("---\n")[1]) if card.exists() else {"configs": []}
    parts = [{"split": split, "path": f"{name}/{split}.jsonl"} for split in splits]
    told["configs"].append({"config_name": name, "data_files": parts})
    # JSON is YAML too.
    files.write_text(card, f"---\n{json.dumps(told)}\n---\n")


ARC = [
    {
        "id": f"q{n}",
        "question": f"What is {n} and {n}?",
        "choices": {"text": ["one", f"{2 * n}", "many"], "label": ["A", "B", "C"]},
        "answerKey": "ABC"[n % 3],
    }
    for n in range(6)
]
GSM8K = [{"question": f"{n} and {n}?", "answer": f"It is {n} + {n} = {2 * n}.\n#### {2 * n}"} for n in range(12)]
MATH = [{"problem": f"{n} + {n}?", "solution": f"It is $\\boxed{{{2 * n}}}$.", "answer": f"{2 * n}"} for n in range(3)]
HUMANEVAL = [
    {
        "task_id": f"HumanEval/{n}",
        "prompt": f'def add{n}(x: int) -> int:\n    """Add {n} to x."""\n',
        "canonical_solution": f"    return x + {n}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
        "entry_point": f"add{n}",
    }
    for n in range(5)
]
MBPP = [
    {
        "task_id": n,
        "text": f"Write a function to add {n}.",
        "code": f"def add{n}(x):\n    return x + {n}",
        "test_list": [f"assert add{n}({x}) == {x + n}" for x in range(3)],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
    for n in range(4)
]


def write_data(folder: Path) -> Path:
    """Five of the report's data sets, small."""
    write_data_set(folder / "allenai" / "ai2_arc", "ARC-Easy", {"train": ARC, "validation": ARC, "test": ARC})
    write_data_set(folder / "openai" / "gsm8k", "main", {"train": GSM8K, "test": GSM8K[:3]})
    write_data_set(folder / "HuggingFaceH4" / "MATH-500", "default", {"test": MATH})
    write_data_set(folder / "openai" / "openai_humaneval", "openai_humaneval", {"test": HUMANEVAL})
    write_data_set(folder / "google-research-datasets" / "mbpp", "full", {"train": MBPP, "test": MBPP})
    return folder


@dataclass(frozen=True, kw_only=True)
class Ground:
    book: Book
    layout: Layout
    words: Path
    checkpoint: Path
    mini: Path
    llama: Path
    data: Path
    cache: Path

    @property
    def sets(self) -> Data:
        return Data(folder=self.data, hub=False, cache=self.cache)


def make_ground(root: Path) -> Ground:
    book, layout = small_book(), Layout(root=root / "clone", recipe="nano")
    words = write_tokenizer(layout.stage("tokenizer").data)
    checkpoint = write_trained(layout, book, "phase-01", 1)
    return Ground(
        book=book,
        layout=layout,
        words=words,
        checkpoint=checkpoint,
        mini=write_released(checkpoint, book, "phase-01", words, root / "mini", final=False),
        llama=write_released(checkpoint, book, "phase-01", words, root / "llama", final=True),
        data=write_data(root / "data"),
        cache=root / "cache",
    )


def typed(*words: object) -> None:
    command = main.get_command(None, "evaluate")
    assert command is not None
    command.main([str(word) for word in words], standalone_mode=False)


def asked(ground: Ground, into: Path, *words: object, subject: Path | None = None) -> Evaluated:
    with pytest.raises(SystemExit) as end:
        typed(subject or ground.checkpoint, "--suite", "report", "--data", ground.data, "--into", into, *words)
    assert end.value.code == 0
    return read_evaluated(into)
