"""Both studies in miniature, and what they refuse."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.train.conftest import build_world, small_recipe
from yulan import files
from yulan.cli import main
from yulan.data.shard import INDEX
from yulan.errors import RecipeError, StateError
from yulan.recipe import Recipe, read_recipe
from yulan.schema import plain
from yulan.study import anneal
from yulan.study.anneal_report import anneal_report
from yulan.study.inputs import last_checkpoint
from yulan.study.pool import rows_of
from yulan.study.protocol import PROTOCOL, register
from yulan.study.stability import RUNS, Design, run_study
from yulan.study.stability_report import stability_report

ROOT = Path(__file__).resolve().parents[3]
NANO = ROOT / "recipes" / "nano" / "recipe.yaml"
TINY = Design(
    variants=("plain", "all"),
    rates=(0.001, 0.01),
    seeds=(1, 2),
    steps=5,
    warmup=2,
    decay=2,
    batch=2,
    context=16,
    sources=("web",),
    pool=64,
    checked=4,
    window=2,
    rise=9.0,
    margin=-9.0,
)
"""Nothing diverges: random tokens teach nothing, and the limits are far."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    world = build_world(folder, small_recipe())
    from tests.unit.train.conftest import write_tokens

    files.write_json(world.folder / "more" / INDEX, plain(write_tokens(world.folder / "more", 4096)))
    return world.folder / "more"


def study(shards: Path, folder: Path, design: Design = TINY, known: str = "nothing", told: list[str] | None = None) -> None:
    heard = [] if told is None else told
    run_study(
        design,
        read_recipe(NANO),
        NANO,
        shards,
        folder,
        data={"shards": "0" * 64},
        known=known,
        processes=1,
        tell=lambda done, total, row: heard.append(row["name"]),
    )


@pytest.mark.slow
def test_a_miniature_ends_in_a_page_and_a_rerun_goes_on(shards: Path, tmp_path: Path):
    told: list[str] = []
    study(shards, tmp_path, told=told)
    assert len(told) == len(rows_of(tmp_path / RUNS, "trial")) == 8
    lines = (tmp_path / RUNS).read_text().splitlines(keepends=True)
    # The last climb and half of the one before it are lost: a kill cut a row short.
    (tmp_path / RUNS).write_text("".join(lines[:5]) + lines[5][:40])
    told.clear()
    study(shards, tmp_path, told=told)
    assert len(told) == 3
    again = (tmp_path / RUNS).read_text().splitlines()
    seconds = re.compile(r'"seconds": ?[\d.]+')
    assert sorted(seconds.sub("", line) for line in again) == sorted(seconds.sub("", line.strip()) for line in lines)
    found = stability_report(tmp_path, "c" * 40, "2", "avx2")
    assert found.complete
    assert found.runs == 8
    assert "0.00 grid steps" in found.verdict
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert not re.search(r"<script|(src|href)=", page)
    assert page.index("Outcome") < page.index("Results")
    assert json.loads((tmp_path / "results.json").read_text())["protocol"] in page


def test_a_study_that_was_stopped_says_so(tmp_path: Path):
    register(_protocol(), tmp_path)
    found = stability_report(tmp_path, None, "2", "avx2")
    assert not found.complete
    assert "no answer" in found.verdict


def test_some_of_the_seeds_give_no_verdict(tmp_path: Path):
    register(_protocol(), tmp_path)
    rows = [
        {"name": f"{variant} {rate} 1", "variant": variant, "rate": rate, "seed": 1, "diverged": lost, "losses": [8.0, 7.0]}
        | {"stream": [1.0, 2.0], "by_layer": [2.0], "checked": 5.0, "spikes": [], "seconds": 1.0}
        for variant, rate, lost in (
            ("plain", 0.001, "lasting rise"),
            ("all", 0.001, None),
            ("all", 0.01, None),
        )
    ]
    files.write_rows(tmp_path / RUNS, rows)
    found = stability_report(tmp_path, None, "2", "avx2")
    assert not found.complete
    assert found.verdict.startswith("No verdict yet, 1 of 2 seeds. So far all three parts together climb 2.00 grid steps")


def _protocol():
    from yulan.study.stability import protocol_of

    return protocol_of(TINY, read_recipe(NANO), {"shards": "0" * 64}, "nothing")


def test_another_protocol_does_not_go_on_in_the_same_folder(tmp_path: Path):
    register(_protocol(), tmp_path)
    before = (tmp_path / PROTOCOL).read_text()
    with pytest.raises(StateError, match="holds a study under another protocol; changed: known"):
        register(replace(_protocol(), known="the answer"), tmp_path)
    assert (tmp_path / PROTOCOL).read_text() == before


def test_the_command_without_known_goes_on_with_what_stands_there(tmp_path: Path):
    from yulan.cli.study import _known

    assert _known(tmp_path, None) == "nothing"
    register(replace(_protocol(), known="a pilot"), tmp_path)
    assert _known(tmp_path, None) == "a pilot"
    assert _known(tmp_path, "more") == "more"


def ends(folder: Path, recipe: Recipe) -> None:
    """An anneal study with made-up documents: targeted saves 1 bit a byte early, long context 1 bit a byte late."""
    design = anneal.Design(phase="phase-03", steps=2, seeds=(1, 2))
    register(anneal.protocol_of(design, recipe, {"shards": "0" * 64}, "nothing"), folder)
    bits = {anneal.STABLE: (3, 3, 3, 3), anneal.TARGETED: (2, 2, 3, 3), anneal.LONG: (2, 2, 2, 2)}
    rows = []
    for arm, of in bits.items():
        for seed in design.seeds:
            documents = [
                {"source": "en/wiki", "nats": [0.6931471805599453 * size * bit for bit in of], "bytes": [size] * 4}
                for size in (10, 20, 30)
            ]
            rows.append({"name": f"{arm} {seed}", "arm": arm, "seed": seed, "losses": [], "documents": documents, "seconds": 1})
    files.write_rows(folder / anneal.RUNS, rows)


def test_the_anneals_two_contrasts_are_told_apart(tmp_path: Path):
    ends(tmp_path, read_recipe(NANO))
    found = anneal_report(tmp_path, {"en/wiki": "english"}, None, "2", "avx2")
    told = {(f.what, f.of): f.value for f in found.findings}
    assert told["targeted less stable mix", "all (the outcome)"] == pytest.approx(-1)
    assert told["long context less none", "all (the outcome)"] == pytest.approx(-1)
    assert told["long context less none, by position", "0-63"] == pytest.approx(0, abs=1e-9)
    assert told["targeted less stable mix, by position", "256-511"] == pytest.approx(0, abs=1e-9)
    assert found.verdict.count("better") == 2
    assert (tmp_path / "report.html").read_text().count("<svg") == 2


def test_an_anneal_without_a_longer_context_is_refused():
    with pytest.raises(RecipeError, match="does not lengthen the context"):
        anneal.arms_of(read_recipe(NANO), "phase-03-short")


def test_a_parent_without_a_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(StateError, match="a study begins from a checkpoint"):
        last_checkpoint(tmp_path)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "recipes" / "nano", tmp_path / "recipes" / "nano")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def say(*words: str) -> Result:
    return CliRunner().invoke(main, ["study", *words])


@pytest.mark.parametrize("kind", ["stability", "anneal"])
def test_a_clone_without_artifacts_is_told_what_to_build(clone: Path, kind: str):
    done = say(kind, "--recipe", "nano")
    assert done.exit_code == 6
    assert done.output.count("\n") == 1
    assert "a study reads this artifact, and it is not there. Build it with: make repro" in done.output


@pytest.mark.parametrize("rates", ["0.1,0.01", "fast", "", "0"])
def test_rates_that_do_not_rise_are_refused(rates: str):
    done = say("stability", "--rates", rates)
    assert done.exit_code == 2
    assert "rates are rising numbers over 0" in done.output
