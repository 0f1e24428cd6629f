"""`yulan data at` and `yulan data seen` in a clone and in a data repository without text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.data.index.kit import COPIED, COPY, HERE, SHORT, SPACED, Clone, make_clone
from yulan import digest, files, manifest
from yulan.cli import main
from yulan.layout import MANIFEST

REQUIRED = json.loads((HERE / "schemas" / "state.json").read_text(encoding="utf-8"))["required"]
ID = digest.of_text(SPACED)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_clone(tmp_path_factory.mktemp("data") / "clone")


@pytest.fixture
def here(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    monkeypatch.chdir(clone.root)
    return clone


def say(*words: str, **keys: object) -> Result:
    return CliRunner().invoke(main, ["data", *words], **keys)  # type: ignore[arg-type]


def told(*words: str) -> dict:
    done = say(*words, "--json")
    assert done.exit_code == 0, done.output
    found: dict = json.loads(done.stdout)
    return found


def test_seen_then_at_leads_back_to_the_document_and_its_text(here: Clone):
    copy = told("seen", ID)["document"]["copies"][0]
    text = ""
    for place in sorted(copy["seen"], key=lambda at: at["start"]):
        if place["phase"] in here.book.recipe.path("phase-03"):
            passages = told("at", place["phase"], "--step", str(place["step"]))["passages"]
            (passage,) = [each for each in passages if (each["document"], each["start"]) == (ID, place["start"])]
            assert passage["licence"] == here.book.sources.sources["en/wiki"].licence
            text += passage["text"]
    assert digest.of_text(text) == copy["text"]


def test_seen_says_every_place_and_what_it_rests_on(here: Clone):
    done = say("seen", ID)
    assert done.exit_code == 0
    assert f"document {ID}, asked by its id" in done.stdout
    assert done.stdout.count(" step ") == len(told("seen", ID)["document"]["copies"][0]["seen"])
    assert manifest.read(here.layout.stage("index").manifest).digest in done.stdout


def test_a_place_whose_step_updated_nothing_is_marked(here: Clone):
    from yulan.manifest import Determinism
    from yulan.schema import plain
    from yulan.train.checkpoint.state import GENESIS, Chain, Cursor, State

    place = told("seen", ID)["document"]["copies"][0]["seen"][0]
    state = State(
        format=1,
        recipe="nano",
        keys={},
        global_step=24,
        phase_step=24,
        tokens=1,
        cursor=Cursor(phase=place["phase"], windows=1),
        skipped=(place["step"],),
        adam_step=1,
        lr=0.01,
        rng="00",
        chain=Chain(metrics=GENESIS, replay=GENESIS),
        trajectory="EXACT",
        fresh_optimizer=False,
        determinism=Determinism(isa="test", threads=1, ranks=1, torch="0", zero=1, precision="fp32", attention="sdpa"),
    )
    folder = here.layout.stage("train", place["phase"]).data / "checkpoints" / "step-000024"
    # As other files of a checkpoint hold them, parts of the state may stand elsewhere.
    files.write_json(folder / "state.json", {key: value for key, value in plain(state).items() if key in REQUIRED})
    files.write_json(folder / MANIFEST, {})
    assert told("seen", ID)["skipped"] == [{"phase": place["phase"], "step": place["step"]}]
    assert say("seen", ID).stdout.count("but the step's update was skipped") == 1
    files.remove(folder.parent.parent.parent)


def test_seen_takes_a_text_from_the_line_a_file_or_standard_input(here: Clone, tmp_path: Path):
    files.write_bytes(tmp_path / "text", SPACED.encode())
    assert told("seen", COPIED)["form"] == "raw"
    assert told("seen", f"@{tmp_path / 'text'}")["document"]["id"] == ID
    assert json.loads(say("seen", "-", "--json", input=COPY).stdout)["form"] == "twin"
    assert f"a copy of it was dropped: {digest.of_text(COPY)}" in say("seen", COPIED).stdout


def test_a_span_of_a_document_is_found_once_spans_are_indexed(here: Clone, tmp_path: Path):
    document = max((text for source, text in here.raw().values() if source == "code/networkx"), key=len)
    text = document[3:-3]
    assert told("seen", text)["lost"] == ["spans: there is no index of spans. Build it with: yulan data spans"]
    assert "2 sources" in say("spans").stdout
    found = told("seen", text)
    (span,) = found["spans"]
    assert (found["found"], found["form"], span["document"]) == (True, "span", digest.of_text(document))
    assert {place["phase"] for place in span["seen"]} <= set(here.book.recipe.phases)
    shown = say("seen", text, "--proof", str(tmp_path / "proof.json"))
    assert f"document {span['document']} of code/networkx" in shown.stdout
    assert shown.stdout.count(" step ") == len(span["seen"])
    words = [sys.executable, "-I", "-S", str(HERE / "docs/formats/check_index.py"), str(tmp_path / "proof.json")]
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    assert "too short to look for" in told("seen", "a few words")["lost"][0]
    files.remove(here.layout.spans)


def test_a_no_has_two_neighbours_and_never_says_not_trained_on(here: Clone):
    done = say("seen", SHORT)
    assert done.exit_code == 0
    assert "is not in the published index of" in done.stdout
    assert "clean: dropped from en/wiki, short" in done.stdout
    assert "not trained on" not in done.stdout
    assert len(told("seen", "7" * 64)["neighbours"]) == 2


def test_the_proof_that_seen_writes_is_the_checkers(here: Clone, tmp_path: Path):
    for asked in (ID, "7" * 64):
        assert say("seen", asked, "--proof", str(tmp_path / "proof.json")).exit_code == 0
        words = [sys.executable, "-I", "-S", str(HERE / "docs/formats/check_index.py"), str(tmp_path / "proof.json")]
        trusted = manifest.read(here.layout.stage("index").manifest).digest
        assert subprocess.run([*words, trusted], check=False, capture_output=True).returncode == 0


def test_at_lists_a_rank_of_the_profile_in_use(here: Clone):
    whole = told("at", "phase-02", "--step", "30")["passages"]
    halves = [told("at", "phase-02", "--step", "30", "--rank", str(rank))["passages"] for rank in (0, 1)]
    assert halves[0] + halves[1] == whole
    assert told("at", "phase-02", "--step", "30", "--rank", "3", "--ranks", "4")["passages"] == [
        each for each in whole if each["micro"] == 3
    ]
    done = say("at", "phase-02", "--step", "30")
    assert "16 windows, 256 ids of" in done.stderr
    assert done.stdout.count("en/wiki, ") == sum(each["source"] == "en/wiki" for each in whole)


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("at", "phase-02", "--step", "2"), 4, "step 2 is not one of phase-02"),
        (("at", "phase-09", "--step", "2"), 3, "no phase named 'phase-09'"),
        (("at", "phase-01", "--step", "2", "--rank", "2"), 4, "rank 2 of 2 has no share"),
        (("at", "phase-01", "--step", "2", "--ranks", "2"), 2, "says of how many processes"),
        (("seen", "@nowhere.txt"), 2, "no such file to read a text from: nowhere.txt"),
        (("seen", "abcdef0123456789"), 2, "an id has 64"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(here: Clone, words: tuple[str, ...], code: int, what: str):
    done = say(*words)
    assert done.exit_code == code
    assert what in done.stderr


def test_a_text_that_is_not_utf8_is_refused(here: Clone):
    done = say("seen", "-", input=b"\xff\xfe")
    assert done.exit_code == 2
    assert "the text is not UTF-8" in done.stderr


def test_without_an_index_the_command_that_builds_it_is_named(here: Clone, tmp_path: Path):
    import shutil

    root = Path(shutil.copytree(here.root, tmp_path / "bare"))
    shutil.rmtree(root / "artifacts/nano/index")
    done = subprocess.run(
        [sys.executable, "-m", "yulan.cli", "data", "seen", ID],
        cwd=root,
        env={"PYTHONPATH": str(HERE), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "there is no index of what was trained on" in done.stderr
    assert "dvc repro index" in done.stderr


def release(clone: Clone, folder: Path) -> Path:
    """The parts of a data repository that `yulan data` reads, laid out as the bundle does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from yulan.release.bundle.data import COLUMNS

    shards = clone.layout.stage("shards").data
    files.copy(shards / "shards.json", folder / "shards.json")
    tables = []
    for source in ("code/networkx", "en/wiki"):
        table = pq.read_table(shards / source / "train/documents.parquet", partitioning=None)
        for column, value in (("source", source), ("cleaned", None)):
            table = table.append_column(column, pa.array([value] * len(table), pa.string()))
        tables.append(table.select(COLUMNS.names))
    files.make_folder(folder / "documents")
    with pq.ParquetWriter(folder / "documents/train.parquet", COLUMNS) as writer:
        for table in tables:
            writer.write_table(table.cast(COLUMNS))
    files.link_tree(clone.layout.stage("index").data, folder / "index")
    files.link_tree(clone.root / "recipes", folder / "recipes")
    for phase in clone.book.recipe.phases:
        files.link_tree(clone.layout.stage("mix", phase).data, folder / "packs" / phase)
    made = manifest.Manifest(
        format=1,
        stage="release",
        name="nano/data/main",
        files=manifest.survey(folder),
        inputs={},
        keys={},
        summary={},
        determinism=None,
    )
    manifest.write(folder / MANIFEST, made)
    return folder


def test_a_pulled_data_repository_answers_the_same_without_text(here: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = release(here, tmp_path / "pulled")
    mine = {phase: told("at", phase, "--step", "33")["passages"] for phase in ("phase-03", "phase-03-short")}
    known = told("seen", ID)
    monkeypatch.chdir(tmp_path)
    for phase, passages in mine.items():
        found = told("at", phase, "--step", "33", "--in", str(folder))["passages"]
        assert found == [each | {"text": None} for each in passages]
    assert told("seen", ID, "--in", str(folder)) == known | {"manifest": manifest.read(folder / MANIFEST).digest}
    assert told("seen", SHORT, "--in", str(folder))["lost"] == ["spans: they are looked for in a clone only"]
    assert say("seen", ID, "--in", str(folder), "--proof", str(tmp_path / "proof.json")).exit_code == 0
    words = [sys.executable, "-I", "-S", str(HERE / "docs/formats/check_index.py"), str(tmp_path / "proof.json")]
    assert subprocess.run([*words, manifest.read(folder / MANIFEST).digest], check=False, capture_output=True).returncode == 0


def test_a_phase_that_an_index_does_not_know_is_named(here: Clone, tmp_path: Path):
    from yulan.data.index.at import Phase
    from yulan.errors import DataError

    with pytest.raises(DataError, match=r"no phase phase-07 in the index. Choose one of: phase-01"):
        Phase.of_release(release(here, tmp_path / "pulled"), "phase-07")
