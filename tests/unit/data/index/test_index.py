"""Laws of the index: it says of each input of each step whose it is, and nothing else."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import index as stage
from tests.unit.data.index.kit import COPIED, COPY, LEAKED, PERSONAL, PHASES, SHORT, SPACED, Clone
from yulan import digest, files, manifest
from yulan.data.batch import Batches
from yulan.data.index.at import Phase
from yulan.data.index.fate import fate
from yulan.data.index.read import Index
from yulan.data.index.seen import published
from yulan.data.index.text import ask_text, forms
from yulan.data.order import Order, order_key
from yulan.data.pack import Pack
from yulan.data.shard import Stream, read_shards
from yulan.errors import DataError, IntegrityError
from yulan.train.run import Run

STEPS = [(phase, step) for phase in PHASES for step in range(1, PHASES[phase][1] + 1)]


def leaves(index: Index) -> list[dict]:
    return [dict(index.leaf(number).content) for number in range(index.header.documents)]


def phase_of(clone: Clone, name: str) -> Phase:
    return Phase.of_clone(clone.layout, clone.book.recipe, name)


def batches_of(clone: Clone, name: str) -> Batches:
    """What the trainer reads, made as the trainer makes it."""
    pack = Pack.open(clone.layout.stage("mix", name).data, clone.layout.stage("shards").data)
    key = order_key(manifest.read(clone.layout.stage("mix", name).manifest).digest, clone.book.recipe.seed)
    section = clone.book.recipe.phase(name)
    return Batches(pack=pack, order=Order(windows=pack.windows, key=key), batch=section.batch, grid=section.grid)


@pytest.mark.parametrize("name", PHASES)
def test_at_names_every_input_that_the_trainer_is_given(clone: Clone, name: str):
    phase, batches = phase_of(clone, name), batches_of(clone, name)
    folder, shards = clone.layout.stage("shards").data, read_shards(clone.layout.stage("shards").data)
    streams = {source: Stream(folder, shards.sources[source].train, shards.dtype) for source in shards.sources}
    for number, step in enumerate(phase.steps):
        passages = phase.passages(step)
        for index in range(batches.grid):
            micro = batches.micro(number * batches.batch, index)
            mine = [each for each in passages if each.micro == index]
            assert list(dict.fromkeys(each.row for each in mine)) == micro.rows.tolist()
            read = [streams[each.source].read(each.offset, each.length) for each in mine]
            inputs = np.full((len(micro.rows), batches.pack.context), shards.eos_id)
            for each, ids in zip(mine, read, strict=True):
                inputs[micro.rows.tolist().index(each.row), each.position : each.position + each.length] = ids
            assert inputs.tolist() == micro.tokens[:, :-1].tolist()
            for _, window in itertools.groupby(mine, key=lambda each: each.row):
                stretches = list(window)
                begins = [0, *itertools.accumulate(each.length for each in stretches)]
                assert [each.position for each in stretches] == begins[:-1]
    filled = sum(each.length for step in phase.steps for each in phase.passages(step))
    assert filled == phase.windows.header.tokens - phase.windows.header.padding


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.sampled_from(STEPS))
def test_what_at_lists_seen_gives_back(clone: Clone, index: Index, at: tuple[str, int]):
    name, number = at
    phase = phase_of(clone, name)
    for passage in phase.passages(phase.steps[number - 1]):
        leaf = index.find(passage.document)
        assert leaf is not None
        (copy,) = leaf.content["copies"]
        said = {"phase": name, "step": phase.steps[number - 1]}
        said |= {key: getattr(passage, key) for key in ("micro", "row", "position", "start", "length")}
        assert copy["source"] == passage.source
        assert said in copy["seen"]


def test_seen_lists_nothing_that_at_does_not(clone: Clone, index: Index):
    listed = sum(len(copy["seen"]) for leaf in leaves(index) for copy in leaf["copies"])
    phases = [phase_of(clone, name) for name in PHASES]
    assert listed == sum(len(phase.passages(step)) for phase in phases for step in phase.steps)


@pytest.mark.parametrize("leaf", ["phase-03", "phase-03-short"])
def test_along_a_path_no_id_is_an_input_twice_but_where_the_recipe_repeats(clone: Clone, index: Index, leaf: str):
    path = clone.book.recipe.path(leaf)
    uses: dict[tuple[str, str], np.ndarray] = {}
    for each in leaves(index):
        for copy in each["copies"]:
            found = uses.setdefault((copy["source"], each["id"]), np.zeros(copy["tokens"], np.int64))
            for at in copy["seen"]:
                if at["phase"] in path:
                    found[at["start"] : at["start"] + at["length"]] += 1
    headers = [phase_of(clone, p).windows.header for p in path]
    assert sum(int(found.sum()) for found in uses.values()) == sum(each.tokens - each.padding for each in headers)
    assert all(found.max() <= 1 for (source, _), found in uses.items() if source == "en/wiki")
    repeated = sum(int((found - 1).clip(0).sum()) for found in uses.values())
    told = [manifest.read(clone.layout.stage("mix", phase).manifest).summary["repeated"] for phase in path]
    # Spans are counted, and what they leave out is in no window.
    assert 0 < sum(told) - sum(each.left_out for each in headers) <= repeated <= sum(told)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_ranks_of_a_step_share_it_as_the_trainer_does(clone: Clone, ranks: int, monkeypatch: pytest.MonkeyPatch):
    phase = phase_of(clone, "phase-01")
    passages = phase.passages(7)
    shares = [phase.of_rank(passages, rank, ranks) for rank in range(ranks)]
    assert [each for share in shares for each in share] == passages
    job = type("Job", (), {"section": clone.book.recipe.phase("phase-01")})
    for rank, share in enumerate(shares):
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        monkeypatch.setattr("torch.distributed.get_world_size", lambda: ranks)
        assert sorted({each.micro for each in share}) == list(Run.indices(type("R", (), {"job": job})))  # type: ignore[arg-type]


def test_a_rank_without_a_share_is_refused(clone: Clone):
    phase = phase_of(clone, "phase-01")
    for rank, ranks in ((2, 2), (0, 3)):
        with pytest.raises(DataError, match=f"rank {rank} of {ranks} has no share in a grid of 4"):
            phase.of_rank([], rank, ranks)


@pytest.mark.parametrize("step", [24, 33])
def test_a_step_of_another_phase_is_refused_with_the_phases_own(clone: Clone, step: int):
    with pytest.raises(DataError, match=f"step {step} is not one of phase-02.*are 25 to 32"):
        phase_of(clone, "phase-02").passages(step)


def test_every_leaf_leads_to_the_root_and_ids_rise(index: Index):
    ids = [leaf["id"] for leaf in leaves(index)]
    assert ids == sorted(set(ids))
    assert [index.place(each) for each in ids] == list(range(len(ids)))


@given(identity=st.binary(min_size=32, max_size=32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_id_that_is_not_there_has_its_neighbours(index: Index, identity: bytes):
    asked = identity.hex()
    answer = index.ask(asked, "id")
    assert answer.leaf is None
    numbers = [leaf.number for leaf in answer.neighbours]
    assert [leaf.id < asked for leaf in answer.neighbours] == ([True, False] if len(numbers) == 2 else [numbers != [0]])
    assert numbers in ([0], [index.header.documents - 1]) or numbers[1] == numbers[0] + 1


@pytest.mark.parametrize(
    ("text", "form", "document"),
    [
        (SPACED, "raw", SPACED),
        (SPACED.replace("\r\n", "\n"), "raw", SPACED),
        (next(forms(SPACED))[1], "cleaned", SPACED),
        (f"{SPACED} \n\n", "cleaned", SPACED),
        (PERSONAL, "raw", PERSONAL),
        (f"{PERSONAL} ", "masked", PERSONAL),
        (COPIED, "raw", COPIED),
        (COPY, "twin", COPIED),
    ],
)
def test_the_answer_names_the_form_of_the_text(index: Index, text: str, form: str, document: str):
    answer = ask_text(index, text)
    assert answer.leaf is not None
    assert (answer.form, answer.leaf.id) == (form, digest.of_text(document))


def test_a_leaf_holds_the_digest_of_the_text_as_it_was_trained_on(index: Index):
    leaf = index.find(digest.of_text(SPACED))
    assert leaf is not None
    assert leaf.content["copies"][0]["text"] == digest.of_text(next(forms(SPACED))[1]) != leaf.id


def test_a_document_that_is_not_there_is_told_its_fate(clone: Clone, index: Index):
    def of(text: str) -> list[str]:
        assert ask_text(index, text).leaf is None
        return fate(clone.layout, clone.book, digest.of_text(text))

    assert of(SHORT) == ["raw: a document of en/wiki", "clean: dropped from en/wiki, short"]
    words = "decontaminated: dropped from en/wiki, shares words with item q1 of quiz, characters "
    raw, dropped = of(LEAKED)
    assert (raw, dropped.startswith(words)) == ("raw: a document of en/wiki", True)
    assert of("never heard of") == []
    held, late = clone.tokenised("en/wiki", held=True)[0], clone.tokenised("en/wiki", held=False)[-1]
    assert of(clone.raw()[held][1])[-1] == "shards: held out of en/wiki, to measure on"
    assert of(clone.raw()[late][1])[-1] == "mix: no phase takes it from en/wiki"
    copy = fate(clone.layout, clone.book, digest.of_text(COPY))
    assert copy[-1] == f"dedup: dropped from en/wiki, exact copy of {digest.of_text(COPIED)} of en/wiki"


def test_a_table_that_is_none_is_said(clone: Clone, tmp_path: Path):
    from yulan.layout import Layout

    layout = Layout(root=tmp_path, recipe="nano")
    files.write_text(layout.stage("raw").data / "en/wiki/00000.parquet", "no table")
    with pytest.raises(DataError, match=r"not a table of documents \(ArrowInvalid\).*Build the stage again"):
        fate(layout, clone.book, "0" * 64)


def test_two_builds_give_equal_bytes(clone: Clone):
    before = manifest.read(clone.layout.stage("index").manifest)
    stage.work(clone.stage("index"))
    assert manifest.require_whole(clone.layout.stage("index")) == before
    assert set(before.inputs) == {"decontaminated", "dedup", "shards", *(f"mix@{phase}" for phase in PHASES)}
    assert before.summary["root"] == json.loads((clone.layout.stage("index").data / "index.json").read_text())["root"]


def flip(name: str, place: int | bytes):
    """Flip a bit of one byte, named by its place or by what stands there first."""

    def damage(folder: Path) -> None:
        data = bytearray((folder / "data" / name).read_bytes())
        data[data.index(place) if isinstance(place, bytes) else place] ^= 1
        files.write_bytes(folder / "data" / name, bytes(data))

    return damage


def shorten(name: str):
    return lambda folder: files.write_bytes(folder / "data" / name, (folder / "data" / name).read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (flip("leaves.bin", b"phase-0"), "leaf 0 does not lead to the root"),
        (flip("leaves.bin", 0), "leaf 0 cannot be read"),
        (flip("tree.bin", 0), "leaf 1 does not lead to the root"),
        (flip("tree.bin", -1), "the tree has another root than index.json"),
        (shorten("tree.bin"), "bytes do not fit index.json"),
        (shorten("leaves.bin"), "bytes do not fit index.json"),
        (shorten("offsets.bin"), "bytes do not fit index.json"),
        (shorten("forms.bin"), "bytes do not fit index.json"),
        (flip("index.json", 30), "index.json is not the one of its manifest"),
        (lambda folder: (folder / "data/index.json").unlink(), "index.json is not the one of its manifest"),
    ],
)
def test_a_damaged_index_gives_no_answer(spoilt: Path, index: Index, damage, what: str):
    ids = [index.leaf(0).id, index.leaf(1).id]
    damage(spoilt)
    with pytest.raises(IntegrityError, match=what):
        [published(spoilt).index.ask(each, "id") for each in ids]


def test_text_that_is_not_the_shards_is_refused(clone: Clone, tmp_path: Path):
    import shutil

    from tests.unit.data.conftest import put

    root = Path(shutil.copytree(clone.root, tmp_path / "other"))
    other = Clone(root=root, layout=type(clone.layout)(root=root, recipe="nano"), book=clone.book)
    place = other.layout.stage("decontaminated")
    shutil.rmtree(place.data / "en/wiki")
    put(place.data, "en/wiki", ["Nobody made tokens of this."])
    manifest.seal(place, other.layout, stage="decontaminated", inputs={}, keys={}, summary={})
    with pytest.raises(DataError, match="is not the next one of the shards"):
        stage.work(other.stage("index"))


def test_documents_without_text_are_indexed_by_their_ids_alone(clone: Clone, index: Index, tmp_path: Path):
    import shutil

    root = Path(shutil.copytree(clone.root, tmp_path / "other"))
    other = Clone(root=root, layout=type(clone.layout)(root=root, recipe="nano"), book=clone.book)
    place = other.layout.stage("decontaminated")
    shutil.rmtree(place.data / "code/networkx")
    manifest.seal(place, other.layout, stage="decontaminated", inputs={}, keys={}, summary={})
    stage.work(other.stage("index"))
    made = leaves(Index(other.layout.stage("index").data))
    assert [leaf["id"] for leaf in made] == [leaf["id"] for leaf in leaves(index)]
    for here, there in zip(made, leaves(index), strict=True):
        for mine, known in zip(here["copies"], there["copies"], strict=True):
            assert mine == known | ({"text": None} if known["source"] == "code/networkx" else {})


def test_an_answer_reads_as_many_leaves_as_the_count_has_bits(index: Index, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    text, node = Index._text, Index._node
    monkeypatch.setattr(Index, "_text", lambda self, number: (read.append(number), text(self, number))[1])
    monkeypatch.setattr(Index, "_node", lambda self, number: (read.append(number), node(self, number))[1])
    bits = index.header.documents.bit_length()
    for asked in ("7" * 64, index.leaf(3).id):
        read.clear()
        index.ask(asked, "id")
        # Bisection twice, then two neighbours with their paths.
        assert len(read) <= 2 * (bits + 1) + 2 * (bits + 1)
