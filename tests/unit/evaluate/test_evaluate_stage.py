"""The stage on a little text, with random weights where trained ones would be."""

import dataclasses
import gzip
import json
from pathlib import Path

import pytest

from pipelines import evaluate, shards, tokenizer
from pipelines.stage import Stage
from tests.unit.data.conftest import put, sentences
from tests.unit.evaluate.conftest import MODEL
from yulan import files, manifest
from yulan.errors import IntegrityError, StateError
from yulan.evaluate.result import NAME, SAMPLES, Evaluation
from yulan.layout import Layout
from yulan.mix import Mix, Part
from yulan.params import read_params
from yulan.profile import load_profile
from yulan.recipe import Book, load_recipe
from yulan.schema import load_json, read_json
from yulan.train.checkpoint.initial import write_initial

ROOT = Path(__file__).resolve().parents[3]


def little(book: Book) -> Book:
    """The nano recipe with 1/16 of the context and of the tokens, a vocabulary of bytes and a few items to ask."""
    recipe = book.recipe
    phases = {
        name: dataclasses.replace(phase, context=phase.context // 16, tokens=phase.tokens // 16)
        for name, phase in recipe.phases.items()
    }
    data = dataclasses.replace(
        recipe.data,
        tokenizer=dataclasses.replace(recipe.data.tokenizer, vocab_size=261),
        shards=dataclasses.replace(recipe.data.shards, held_out=200),
    )
    asked = dataclasses.replace(
        recipe.evaluate,
        held_out_tokens=300,
        tasks={name: dataclasses.replace(task, limit=4) for name, task in recipe.evaluate.tasks.items()},
        generations=dataclasses.replace(recipe.evaluate.generations, new_tokens=3),
    )
    parts = {"en/wiki": Part(weight=60, repeats=0), "code/networkx": Part(weight=40, repeats=0)}
    made = dataclasses.replace(recipe, model=MODEL, phases=phases, data=data, evaluate=asked)
    return Book(
        recipe=made, sources=book.sources, mixes=dict.fromkeys(book.mixes, Mix(total=100, sources=parts, intent=None, files=None))
    )


def stage(root: Path, book: Book, name: str, phase: str | None = None) -> Stage:
    made = Stage(
        name=name,
        phase=phase,
        book=book,
        layout=Layout(root=root, recipe="nano"),
        profile=load_profile("cpu-1"),
        params=read_params(ROOT),
        started=0.0,
    )
    files.remove(made.place.data)
    files.make_folder(made.place.data)
    return made


def put_benchmarks(folder: Path, book: Book) -> None:
    for benchmark in book.sources.benchmarks.values():
        path = folder / benchmark.package / benchmark.paths[0]
        path.parent.mkdir(parents=True)
        rows = [
            {"native_id": f"q{n}", "doc": {"query": f"Question: {n}?\nAnswer:", "choices": ["yes", "no"], "gold": n % 2}}
            for n in range(6)
        ]
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0))


@pytest.fixture(scope="module")
def book() -> Book:
    return little(load_recipe(ROOT, "nano"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, book: Book) -> Path:
    """A clone in which every stage up to the first phase's training has run."""
    root = tmp_path_factory.mktemp("clone")
    layout = Layout(root=root, recipe="nano")

    def seal(name: str, phase: str | None = None) -> None:
        manifest.seal(layout.stage(name, phase), layout, stage=name, phase=phase, inputs={}, keys={}, summary={})

    for seed, name in enumerate(("en/wiki", "code/networkx")):
        put(layout.stage("decontaminated").data, name, sentences(seed, 80))
    seal("decontaminated")
    tokenizer.work(stage(root, book, "tokenizer"))
    shards.work(stage(root, book, "shards"))
    put_benchmarks(layout.stage("sources").data, book)
    seal("sources")
    for seed, (name, phase) in enumerate((("init", None), ("train", "phase-01"))):
        recipe = dataclasses.replace(book.recipe, seed=seed, model=dataclasses.replace(MODEL, init_std=0.2))
        write_initial(layout.stage(name, phase).data / "checkpoints", recipe)
        seal(name, phase)
    return root


def test_the_stage_leaves_figures_that_obey_their_schema_twice_the_same(root: Path, book: Book):
    first = stage(root, book, "evaluate", "phase-01")
    evaluate.work(first)
    made = manifest.require_whole(first.place)
    found = read_json(first.place.data / NAME, "evaluation", Evaluation)
    assert set(made.inputs) == {"init", "train@phase-01", "shards", "tokenizer", "sources"}
    assert set(found.held_out) == {"encyclopaedia", "code"}
    assert set(found.sources) == {"en/wiki", "code/networkx"}
    assert list(found.by_position) == ["positions 00-03", "positions 04-07", "positions 08-11", "positions 12-15"]
    assert {name: task.items for name, task in found.tasks.items()} == {"arc_easy": 4, "boolq": 4}
    assert len(found.generations) == 4
    assert len(files.complete_rows(first.place.data / SAMPLES)) == 8
    assert made.determinism is not None
    assert made.determinism.threads == 1
    evaluate.work(stage(root, book, "evaluate", "phase-01"))
    assert manifest.require_whole(first.place) == made


def test_a_phase_that_is_not_benchmarked_is_measured_on_held_out_text_alone(root: Path, book: Book):
    asked = dataclasses.replace(book.recipe.evaluate, benchmarked=("phase-02",))
    it = stage(root, dataclasses.replace(book, recipe=dataclasses.replace(book.recipe, evaluate=asked)), "evaluate", "phase-01")
    evaluate.work(it)
    found = load_json(it.place.data / NAME)
    assert found["tasks"] == {}
    assert set(found["held_out"]) == {"encyclopaedia", "code"}
    assert (it.place.data / SAMPLES).read_bytes() == b""


def test_the_summary_holds_numbers_that_a_metrics_diff_shows(root: Path, book: Book):
    it = stage(root, book, "evaluate", "phase-01")
    evaluate.work(it)
    summary = manifest.read(it.place.manifest).summary
    assert set(summary) == {"global_step", "bits_per_byte", "bits_per_byte_by_position", "tasks"}
    assert set(summary["tasks"]["boolq"]) == {"acc", "stderr"}
    leaves, rest = [], [summary]
    while rest:
        each = rest.pop()
        rest += each.values() if isinstance(each, dict) else []
        leaves += [] if isinstance(each, dict) else [each]
    assert all(isinstance(leaf, int | float) for leaf in leaves)


def test_what_is_not_there_is_named_with_the_command_that_fetches_it(root: Path, book: Book):
    with pytest.raises(StateError, match=r"evaluate needs a phase\. Run it as: dvc repro evaluate@phase-01"):
        evaluate.work(stage(root, book, "evaluate"))
    with pytest.raises(StateError, match=r"train/phase-02: is not there\. Fetch it with: dvc pull train@phase-02"):
        evaluate.work(stage(root, book, "evaluate", "phase-02"))


def test_a_phase_without_a_checkpoint_is_told(root: Path, book: Book):
    place = Layout(root=root, recipe="nano").stage("train", "phase-02")
    files.make_folder(place.data)
    manifest.seal(place, Layout(root=root, recipe="nano"), stage="train", phase="phase-02", inputs={}, keys={}, summary={})
    with pytest.raises(StateError, match=r"holds no checkpoint\. Restore it with: dvc checkout"):
        evaluate.work(stage(root, book, "evaluate", "phase-02"))
    files.remove(place.folder)


def test_tampered_weights_are_not_evaluated(root: Path, book: Book):
    place = Layout(root=root, recipe="nano").stage("train", "phase-01")
    (weights,) = place.data.glob("checkpoints/*/weights-*")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        evaluate.work(stage(root, book, "evaluate", "phase-01"))
    weights.write_bytes(whole)
