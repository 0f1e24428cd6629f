"""The stages tokenizer, shards and mix on a little text, each opening what the one before sealed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipelines import mix, shards, tokenizer
from pipelines.stage import Stage
from tests.unit.data.conftest import put, sentences
from yulan import files, manifest
from yulan.data.batch import Batches
from yulan.data.order import Order, order_key
from yulan.data.pack import Pack
from yulan.errors import DataError, IntegrityError, StateError
from yulan.layout import Layout
from yulan.mix import Mix, Part
from yulan.params import read_params
from yulan.profile import load_profile
from yulan.recipe import Book, load_recipe

ROOT = Path(__file__).resolve().parents[3]
TEXTS = {"en/wiki": 900, "code/networkx": 600}


def little(book: Book) -> Book:
    """The nano recipe with 1/16 of the context and of the tokens, and a vocabulary of bytes."""
    phases = {
        name: dataclasses.replace(phase, context=phase.context // 16, tokens=phase.tokens // 16)
        for name, phase in book.recipe.phases.items()
    }
    data = dataclasses.replace(book.recipe.data, tokenizer=dataclasses.replace(book.recipe.data.tokenizer, vocab_size=261))
    parts = {"en/wiki": Part(weight=60, repeats=0), "code/networkx": Part(weight=40, repeats=0)}
    mixes = dict.fromkeys(book.mixes, Mix(total=100, sources=parts, intent=None, files=None))
    return Book(recipe=dataclasses.replace(book.recipe, phases=phases, data=data), sources=book.sources, mixes=mixes)


@pytest.fixture(scope="module")
def book() -> Book:
    return little(load_recipe(ROOT, "nano"))


def stage(root: Path, book: Book, name: str, phase: str | None = None) -> Stage:
    params = read_params(ROOT)
    layout = Layout(root=root, recipe="nano")
    return Stage(
        name=name, phase=phase, book=book, layout=layout, profile=load_profile(params.profile), params=params, started=0.0
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, book: Book) -> Path:
    """A clone in which every stage up to the mixes has run."""
    root = tmp_path_factory.mktemp("clone")
    text = Layout(root=root, recipe="nano").stage("decontaminated")
    for seed, (name, documents) in enumerate(TEXTS.items()):
        put(text.data, name, sentences(seed, documents))
    manifest.seal(text, Layout(root=root, recipe="nano"), stage="decontaminated", inputs={}, keys={}, summary={})
    tokenizer.work(stage(root, book, "tokenizer"))
    shards.work(stage(root, book, "shards"))
    for phase in book.recipe.phases:
        mix.work(stage(root, book, "mix", phase))
    return root


def pack_of(root: Path, phase: str) -> Pack:
    layout = Layout(root=root, recipe="nano")
    return Pack.open(layout.stage("mix", phase).data, layout.stage("shards").data)


def test_each_stage_seals_a_manifest_that_names_its_inputs(root: Path):
    layout = Layout(root=root, recipe="nano")
    found = {name: manifest.require_whole(layout.stage(*name.split("@"))) for name in ("tokenizer", "shards", "mix@phase-03")}
    assert set(found["shards"].inputs) == {"decontaminated", "tokenizer"}
    assert found["shards"].inputs["tokenizer"] == found["tokenizer"].digest
    assert set(found["mix@phase-03"].inputs) == {"shards", "mix@phase-02"}
    assert found["tokenizer"].summary["bytes_per_token"] == {"code": 1.0, "encyclopaedia": 1.0}


def test_the_summary_of_a_mix_sums_to_the_budget(root: Path, book: Book):
    for name, phase in book.recipe.phases.items():
        summary = manifest.read(Layout(root=root, recipe="nano").stage("mix", name).manifest).summary
        budget = phase.steps * phase.step_tokens
        assert summary["tokens"] == budget == summary["windows"] * phase.context
        assert summary["packing"] == phase.packing
        taken = budget - summary["padding"] + summary["left_out"]
        assert all(sum(summary[key].values()) == taken for key in ("sources", "families", "languages"))
        assert (summary["repeated"], summary["dropped"]) == (0, 0)
        assert 0 < summary["padding"] < budget // 50
        assert 0 < summary["targets"] < budget - summary["padding"]
        assert summary["cut_documents"] > 0


@pytest.mark.parametrize("leaf", ["phase-03", "phase-03-short"])
def test_no_token_is_an_input_twice_along_a_path(root: Path, book: Book, leaf: str):
    seen: dict[str, np.ndarray] = {}
    for phase in book.recipe.path(leaf):
        pack = pack_of(root, phase)
        for shard, start, length in pack.pieces.tolist():
            path = pack.header.shards[shard]
            uses = seen.setdefault(path, np.zeros(len(pack.tokens[shard]), np.int64))
            uses[start : start + length] += 1
    # A document that goes on in another window lends it its first id: the last target of one is the first input of the other.
    headers = [pack_of(root, phase).header for phase in book.recipe.path(leaf)]
    assert all(uses.max() <= 2 for uses in seen.values())
    assert sum(int((uses > 0).sum()) for uses in seen.values()) == sum(each.tokens - each.padding for each in headers)


def test_forks_take_their_tokens_from_the_same_place(root: Path):
    long, short = (pack_of(root, phase).header.sources for phase in ("phase-03", "phase-03-short"))
    assert {name: span.start for name, span in long.items()} == {name: span.start for name, span in short.items()}


def test_every_step_of_a_phase_can_be_asked_for(root: Path, book: Book):
    phase = book.recipe.phase("phase-03")
    pack = pack_of(root, "phase-03")
    digest = manifest.read(Layout(root=root, recipe="nano").stage("mix", "phase-03").manifest).digest
    order = Order(windows=pack.windows, key=order_key(digest, book.recipe.seed))
    batches = Batches(pack=pack, order=order, batch=phase.batch, grid=phase.grid)
    rows = [
        int(row) for step in range(phase.steps) for i in range(phase.grid) for row in batches.micro(step * phase.batch, i).rows
    ]
    assert sorted(rows) == list(range(pack.windows))


def test_two_builds_give_equal_contents(root: Path, book: Book, tmp_path: Path):
    again = Layout(root=tmp_path, recipe="nano")
    files.link_tree(Layout(root=root, recipe="nano").stage("decontaminated").folder, again.stage("decontaminated").folder)
    tokenizer.work(stage(tmp_path, book, "tokenizer"))
    shards.work(stage(tmp_path, book, "shards"))
    mix.work(stage(tmp_path, book, "mix", "phase-01"))
    for target in ("tokenizer", "shards", "mix@phase-01"):
        here, there = (manifest.read(Layout(root=r, recipe="nano").stage(*target.split("@")).manifest) for r in (root, tmp_path))
        assert here.digest == there.digest


def test_a_mix_that_needs_more_than_there_is_names_the_numbers(root: Path, book: Book, tmp_path: Path):
    files.link_tree(Layout(root=root, recipe="nano").artifacts, Layout(root=tmp_path, recipe="nano").artifacts)
    hungry = Mix(total=1, sources={"code/sympy": Part(weight=1, repeats=0)}, intent=None, files=None)
    greedy = Book(recipe=book.recipe, sources=book.sources, mixes=dict.fromkeys(book.mixes, hungry))
    with pytest.raises(DataError, match=r"code/sympy: 40,960 tokens wanted, 0 there, 0 taken by earlier phases"):
        mix.work(stage(tmp_path, greedy, "mix", "phase-01"))


def test_a_flipped_byte_in_a_shard_stops_who_opens_it(root: Path, book: Book, tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="nano")
    files.link_tree(Layout(root=root, recipe="nano").stage("shards").folder, layout.stage("shards").folder)
    path = layout.stage("shards").data / "en/wiki/train/tokens-00000.bin"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.unlink()
    files.write_bytes(path, bytes(data))
    with pytest.raises(IntegrityError, match=r"\n  changed  en/wiki/train/tokens-00000\.bin$"):
        stage(tmp_path, book, "train", "phase-01").open("shards")


def test_a_mix_without_a_phase_says_how_to_run_it(root: Path, book: Book):
    with pytest.raises(StateError, match=r"mix needs a phase. Run it as: dvc repro mix@phase-01"):
        mix.work(stage(root, book, "mix"))
