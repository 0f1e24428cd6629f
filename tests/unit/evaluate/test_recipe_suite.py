"""What a recipe asks of its own phases, asked of any model of its tokenizer: benchmarks out of `sources`, held-out text."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tests.unit.data.conftest import put, sentences
from tests.unit.evaluate.suite_kit import ROOT, small_book, write_released, write_tokenizer, write_trained
from tests.unit.evaluate.test_evaluate_stage import put_benchmarks
from yulan import files, manifest
from yulan.cli import main
from yulan.data import tokenizer
from yulan.data.shard import read_shards, write_shards
from yulan.evaluate import ask
from yulan.evaluate.answers import engine
from yulan.evaluate.compare import compare
from yulan.evaluate.criteria import read_judged
from yulan.evaluate.evaluated import Evaluated, read_evaluated
from yulan.evaluate.held_out import byte_lengths, measure, read_held_out, score
from yulan.evaluate.runner import Runner, load_decoder
from yulan.evaluate.subject import open_subject
from yulan.layout import Layout
from yulan.recipe import Book

SETTINGS = ask.Settings(batch=4, precision="fp32", limit=None)


@pytest.fixture(scope="module")
def book() -> Book:
    made = small_book()
    asked = made.recipe.evaluate
    tasks = {name: dataclasses.replace(task, limit=4) for name, task in asked.tasks.items()}
    return dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, evaluate=dataclasses.replace(asked, tasks=tasks)))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, book: Book) -> Layout:
    """A clone with shards of two sources, benchmarks, and two trained phases."""
    root = tmp_path_factory.mktemp("clone")
    layout = Layout(root=root, recipe="nano")
    for seed, name in enumerate(("en/wiki", "code/networkx")):
        put(root / "text", name, sentences(seed, 80))
    words = write_tokenizer(layout.stage("tokenizer").data)
    codec = tokenizer.load(words, book.recipe.data.tokenizer, begin_with_bos=False)
    write_shards(root / "text", codec, book.recipe.data.shards, layout.stage("shards").data, wanted=())
    put_benchmarks(layout.stage("sources").data, book)
    for seed, phase in enumerate(("phase-01", "phase-02")):
        write_trained(layout, book, phase, seed + 1)
    return layout


def checkpoint(layout: Layout, phase: str = "phase-01") -> Path:
    (found,) = (layout.stage("train", phase).data / "checkpoints").iterdir()
    return found


def asked(book: Book, layout: Layout, subject: Path, into: Path) -> Evaluated:
    opened = open_subject(subject, layout.stage("tokenizer").data, "cpu", "fp32")
    return ask.run(ask.of_recipe(book, layout, opened, None), opened, SETTINGS, into, (), print)


def test_held_out_text_has_the_stages_own_bits_per_byte(book: Book, layout: Layout, tmp_path: Path):
    found = asked(book, layout, checkpoint(layout), tmp_path / "out")
    shards, phase = read_shards(layout.stage("shards").data), book.recipe.phase("phase-01")
    codec = tokenizer.load(layout.stage("tokenizer").data, book.recipe.data.tokenizer, begin_with_bos=False)
    runner = Runner(
        decoder=load_decoder(checkpoint(layout), book.recipe.model, "cpu"), context=phase.context, rope_theta=phase.rope_theta
    )
    tokens = book.recipe.evaluate.held_out_tokens
    for source, family in (("en/wiki", "encyclopaedia"), ("code/networkx", "code")):
        documents = read_held_out(layout.stage("shards").data, shards, source, tokens=tokens, context=phase.context)
        stage = score(measure(runner, runner, documents, byte_lengths(codec.backend)))
        assert stage is not None
        task = found.tasks[f"text-{family}"]
        assert task.value == pytest.approx(stage.bits_per_byte, rel=1e-5)
        assert (task.items, task.higher_is_better) == (stage.documents, False)
    assert found.tasks["text-math"].reason == "no text of it is held out"


def test_benchmarks_of_the_recipe_are_asked_offline(book: Book, layout: Layout, tmp_path: Path):
    found = asked(book, layout, checkpoint(layout), tmp_path / "out")
    assert {name: task.items for name, task in found.run.items() if not name.startswith("text-")} == {"arc_easy": 4, "boolq": 4}
    assert found.suite.name == "nano"


def test_a_final_folded_into_llama_is_asked_the_same(book: Book, layout: Layout, tmp_path: Path):
    words = layout.stage("tokenizer").data
    llama = write_released(checkpoint(layout), book, "phase-01", words, tmp_path / "llama", final=True)
    asked(book, layout, checkpoint(layout), tmp_path / "a")
    asked(book, layout, llama, tmp_path / "b")
    tasks = compare(tmp_path / "a", tmp_path / "b").tasks
    for name in ("text-code", "text-encyclopaedia"):
        assert tasks[name].difference == pytest.approx(0.0, abs=1e-5)
    asked(book, layout, checkpoint(layout, "phase-02"), tmp_path / "c")
    other = compare(tmp_path / "a", tmp_path / "c").tasks["text-code"]
    assert other.difference != 0
    assert other.verdict in {"a is better", "b is better", "no difference shown"}


def test_what_a_clone_lacks_is_told(book: Book, layout: Layout, tmp_path: Path):
    empty = Layout(root=tmp_path, recipe="nano")
    opened = open_subject(checkpoint(layout), None, "cpu", "fp32")
    plan = ask.of_recipe(book, empty, opened, None)
    lm = engine(opened, 4)
    assert plan.entries["text-code"].ask(lm) == "no shards are here: dvc pull shards tokenizer"
    assert plan.entries["boolq"].ask(lm) == "a benchmark's files are not there"


def test_text_of_another_tokenizer_is_not_measured(book: Book, layout: Layout, tmp_path: Path):
    words = shutil.copytree(layout.stage("tokenizer").data, tmp_path / "words")
    raw = json.loads((words / "tokenizer.json").read_text(encoding="utf-8"))
    (words / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    opened = open_subject(checkpoint(layout), words, "cpu", "fp32")
    entry = ask.of_recipe(book, layout, opened, None).entries["text-code"]
    assert entry.ask(engine(opened, 4)) == "its tokenizer is not the one that the shards were made with"


def test_criteria_decide_the_exit_code_and_a_statement_tells_it(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(ROOT / "recipes" / "nano", layout.root / "recipes" / "nano", dirs_exist_ok=True)
    (layout.root / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(layout.root)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TQDM_DISABLE", "TRANSFORMERS_VERBOSITY", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "1")
    rows = [{"task": "text-code", "metric": "bits_per_byte", "direction": "at most", "threshold": 100.0}]
    for threshold, code in ((100.0, 0), (0.1, 10)):
        rows[0]["threshold"] = threshold
        path = files.write_json(tmp_path / "criteria.yaml", {"format": 1, "suite": "nano", "criteria": rows})
        words = [checkpoint(layout), "--suite", "nano", "--only", "text-code", "--criteria", path, "--statement"]
        command = main.get_command(None, "evaluate")
        assert command is not None
        with pytest.raises(SystemExit) as end:
            command.main([str(w) for w in (*words, "--into", tmp_path / str(code))], standalone_mode=False)
        assert end.value.code == code
        found = read_judged(tmp_path / str(code))
        assert found.passed == (code == 0)
        assert found.subject == manifest.read(checkpoint(layout) / "manifest.json").digest
        told = json.loads((tmp_path / str(code) / "statement.json").read_text(encoding="utf-8"))
        assert told["predicate"]["result"] == ("PASSED" if code == 0 else "FAILED")
        assert set(read_evaluated(tmp_path / str(code)).run) == {"text-code"}
