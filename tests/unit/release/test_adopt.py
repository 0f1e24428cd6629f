"""Repositories of others are written down as ours are: every byte by its sha256, what they contradict, and what nobody knows."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.pipeline.clone import HERE
from tests.unit.release.audit_kit import Files, lay
from tests.unit.release.faulty import Answer, Forward, faulty
from tests.unit.release.replica import checkpoint, replica
from tests.unit.release.small import make_root
from yulan import digest, manifest
from yulan.cli import main
from yulan.errors import DataError, IntegrityError, RecipeError
from yulan.recipe import Book, Recipe, read_recipe
from yulan.recipe.known import load_published
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.adopt import adopt as taken
from yulan.release.adopt import write
from yulan.release.audit.asked import Asked
from yulan.release.audit.claimed import end_of
from yulan.release.audit.run import audit
from yulan.release.audit.survey import Seen, Survey, look
from yulan.release.audit.texts import steps_told
from yulan.release.hub import Hub, Remote
from yulan.release.names import Repo
from yulan.schema import check, load_json
from yulan.train.checkpoint.outgoing import export

REAL = HERE / "recipes" / "yulan-mini"
Fetched = list[tuple[str, int, int]]
"""(path, status, bytes) of each answer."""
ANNEAL, OLD = "yulan-team/YuLan-Mini-Before-Annealing", "yulan-team/YuLan-Mini-Phase20"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(REAL / "recipe.yaml")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return make_root(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, book: Book) -> dict[str, Files]:
    """Six of the seven: one has no address. Each is at the step that the recipe gives its phase, but for the one exhibit."""
    work = tmp_path_factory.mktemp("replicas")
    made = {}
    for name, known in load_published(REAL / "published.yaml", recipe).repos.items():
        if known.linked:
            step = 262_772 if name == ANNEAL else end_of(recipe, known.phase) + 3
            made[name] = replica(work / name, book, name, known, step)
    return made


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, replicas: dict[str, Files], book: Book) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("theirs")
    checkpoint(root / "checkpoint", book, 5)
    export(root / "checkpoint", root / "dcp", "dcp")
    parts = {path.name: path.read_bytes() for path in sorted((root / "dcp").iterdir())}
    lay(root, "x/dcp", {"main": parts, "step5": {".metadata": parts[".metadata"]}})
    for name, contents in replicas.items():
        lay(root, name, {"main": contents})
    wrong = replicas[OLD] | {path: data for path, data in replicas[ANNEAL].items() if path.endswith(".safetensors")}
    lay(root, "x/crossed", {"main": wrong})
    lay(root, "x/series", {f"step{n}": {"model.safetensors": b"%d" % n, "README.md": b"# x\n"} for n in (1, 2)} | {"main": {}})
    with running_hub(root) as served:
        yield served


def adopt(url: str, into: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["adopt", *words, "--from", url, "--into", str(into)])


@pytest.fixture(scope="module")
def adopted(hub: Served, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, Fetched]:
    """The seven, and (path, status, bytes) of everything that was fetched."""
    into = tmp_path_factory.mktemp("into") / "adopted"
    fetched: Fetched = []

    def note(_: str, path: str, forward: Forward) -> Answer:
        status, headers, data = forward()
        fetched.append((path, status, len(data)))
        return status, headers, data

    with pytest.MonkeyPatch.context() as patch, faulty(hub) as counted:
        patch.chdir(HERE)
        counted.faults.append(note)
        return into, adopt(counted.url, into, "--recipe", "yulan-mini"), fetched


def findings(into: Path, name: str) -> dict[str, str]:
    raw = load_json(into / name / "findings.json")
    check(raw, "audit", name)
    return {each["id"]: each["what"] for each in raw["findings"]}


def test_the_seven_are_written_down_and_the_one_without_an_address_is_said(
    adopted: tuple[Path, Result, Fetched],
):
    into, done, _ = adopted
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"{into}: 7 repositories, 6 revisions"
    assert findings(into, "yulan-team/YuLan-Mini-4K") == {
        "not-there": "not on this hub, or not for everybody; its name is known, an address was never given"
    }


def test_every_file_is_listed_with_the_sha256_of_its_bytes_and_no_weights_were_fetched(
    adopted: tuple[Path, Result, Fetched], replicas: dict[str, Files]
):
    into, _, fetched = adopted
    for name, contents in replicas.items():
        made = manifest.read(into / name / "manifests" / "main.json")
        listed = {file.path: (file.size, file.sha256) for file in made.files if file.path != ".gitattributes"}
        assert listed == {path: (len(data), digest.of_bytes(data)) for path, data in contents.items()}
    large = [(path, status, size) for path, status, size in fetched if path.endswith((".safetensors", ".pt"))]
    assert {status for _, status, _ in large} == {206}
    # However large the real ones are: a few pieces of at most 64 KiB a repository.
    assert max(size for _, _, size in large) <= 1 << 16
    assert len(large) <= 60 * len(replicas)


def test_the_step_of_before_annealing_is_among_the_findings_and_in_no_table(
    adopted: tuple[Path, Result, Fetched], recipe: Recipe
):
    into, _, _ = adopted
    said = "said to be the end of phase-25, step 243,198 by the recipe; "
    raw = load_json(into / ANNEAL / "findings.json")
    told = [each["what"] for each in raw["findings"] if each["id"] == "claimed-step"]
    after = f"says 262,772, {262_772 - end_of(recipe, 'phase-27')} steps after the end of phase-27"
    assert told == sorted(
        f"{said}{who} {after}"
        for who in (
            "the folder global_step262772",
            "global_step262772/mp_rank_00_model_states.pt (global_steps)",
            "trainer_state.json",
        )
    )
    assert "claimed-step" not in findings(into, OLD)
    rows = {row["repo"]: row for row in csv.DictReader((into / "checkpoints.csv").open())}
    assert rows[ANNEAL]["step"] == "unknown"
    assert rows[ANNEAL]["stage"] == "stable"
    assert rows[OLD]["step"] == str(end_of(recipe, "phase-20") + 3)
    assert (rows[OLD]["phase"], rows[OLD]["architecture"], rows[OLD]["states"]) == ("phase-20", "yulanmini", rows[OLD]["digest"])
    assert rows["yulan-team/YuLan-Mini"]["tokens"] == rows["yulan-team/YuLan-Mini"]["begin"] == "unknown"
    for name, row in rows.items():
        assert row["digest"] == manifest.read(into / name / "manifests" / "main.json").digest


def test_weights_beside_universal_states_are_compared_with_them_by_ranges(hub: Served, adopted: tuple[Path, Result, object]):
    notes = {each["id"] for each in load_json(adopted[0] / OLD / "findings.json")["notes"]}
    assert "cast" not in findings(adopted[0], OLD)
    assert "cast-unchecked" not in notes
    done = CliRunner().invoke(main, ["audit", "hf://x/crossed", "--from", hub.url, "--json"])
    assert done.exit_code == 5
    assert "is not the cast of the master's" in {each["what"].partition(" ")[2] for each in json.loads(done.stdout)["findings"]}


def test_the_step_in_a_large_torch_file_costs_few_requests(tmp_path: Path):
    # One run of numbers a parameter, as in the real one: none of them is looked for.
    import torch

    many = {"module": {str(n): torch.zeros(20_000) + n for n in range(60)}, "skipped_steps": 3, "global_steps": 77}
    torch.save(many, tmp_path / "mp_rank_00_model_states.pt")
    lay(tmp_path / "hub", "x/y", {"main": {"mp_rank_00_model_states.pt": (tmp_path / "mp_rank_00_model_states.pt").read_bytes()}})
    with running_hub(tmp_path / "hub") as served:
        asked = Asked(Hub(served.url, None))
        survey = look(asked, Repo(id="x/y", part="model"))
        before = asked.requests
        assert steps_told(survey, survey.revisions[0]) == {"mp_rank_00_model_states.pt (global_steps)": 77}
        assert asked.requests - before <= 3


def test_the_files_that_torchs_metadata_names_are_missed(hub: Served):
    done = CliRunner().invoke(main, ["audit", "hf://x/dcp", "--from", hub.url, "--json"])
    found = json.loads(done.stdout)
    assert found["layouts"] == ["torch-dcp"]
    assert [(each["where"], each["what"]) for each in found["findings"] if each["id"] == "missing-shard"] == [
        ("step5", "files are not there: __0_0.distcp")
    ]


def test_a_series_of_nobody_known_is_adopted_with_what_its_names_say(hub: Served, tmp_path: Path):
    done = adopt(hub.url, tmp_path / "in", "hf://x/series")
    assert done.exit_code == 0, done.output
    rows = {row["revision"]: row for row in csv.DictReader((tmp_path / "in" / "checkpoints.csv").open())}
    assert (rows["step2"]["step"], rows["step2"]["phase"], rows["step2"]["stage"]) == ("2", "unknown", "unknown")
    again = adopt(hub.url, tmp_path / "in", "hf://x/series")
    assert again.exit_code == 6
    assert "something lies there already" in again.output


def test_what_cannot_be_adopted_is_one_line(hub: Served, tmp_path: Path, recipe: Recipe):
    done = adopt(hub.url, tmp_path / "in", "hf://x/nobody")
    assert (done.exit_code, "no such repository" in done.output) == (7, True)
    done = adopt(hub.url, tmp_path / "in")
    assert (done.exit_code, "whose published.yaml does" in done.output) == (2, True)
    assert not (tmp_path / "in").exists()
    with pytest.raises(RecipeError, match="does not say what others published"):
        load_published(tmp_path / "published.yaml", recipe)
    (tmp_path / "published.yaml").write_text(
        "format: 1\nrepos: {a/b: {phase: phase-99, optimizer: true, architecture: x, linked: true}}\n"
    )
    with pytest.raises(RecipeError, match="no phase named 'phase-99'"):
        load_published(tmp_path / "published.yaml", recipe)


def listed(**files: Remote) -> Survey:
    seen = Seen(name="main", commit="0" * 40, files=files)
    return Survey(repo=Repo(id="x/y", part="model"), revisions=(seen,), tags={})


def test_what_no_manifest_may_hold_is_refused(hub: Served):
    large = Remote(size=9, sha256="a" * 64, blob="b" * 40)
    for name in ("../x", "a//b", "a\x1b"):
        survey = listed(**{name: large})
        with pytest.raises(IntegrityError, match="is not allowed"):
            taken(survey, audit(survey))
    survey = listed(small=Remote(size=17 << 20, sha256=None, blob="b" * 40))
    with pytest.raises(DataError, match="there is too much of the kind to fetch"):
        taken(survey, audit(survey))
    repo = Repo(id="x/series", part="model")
    asked = look(Asked(Hub(hub.url, None)), repo, "step1")
    wrong = dict(asked.revisions[0].files) | {"README.md": Remote(size=4, sha256=None, blob="b" * 40)}
    other = replace(asked, revisions=(replace(asked.revisions[0], files=wrong),))
    with pytest.raises(IntegrityError, match="the hub serves other bytes than it lists"):
        taken(other, audit(other))


def test_a_branch_whose_name_is_a_path_gets_one_file(tmp_path: Path):
    survey = listed(w=Remote(size=9, sha256="a" * 64, blob="b" * 40))
    survey = replace(survey, revisions=tuple(replace(survey.revisions[0], name=name) for name in ("a/b", "../c", "..")))
    write(tmp_path / "into", {"x/y": taken(survey, audit(survey))})
    names = {path.relative_to(tmp_path / "into").as_posix() for path in (tmp_path / "into").rglob("*.json")}
    assert names == {"x/y/findings.json", *(f"x/y/manifests/{name}.json" for name in ("a%2Fb", "..%2Fc", ".."))}
