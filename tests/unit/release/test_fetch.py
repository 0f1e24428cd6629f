"""Slices of published token files, fetched from a hub that serves real ones."""

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from huggingface_hub import HfApi
from jsonschema import Draft202012Validator

from tests.unit.data.token_kit import draw_rows, put_files, write_recipe
from tests.unit.pipelines.test_token_files_road import go
from tests.unit.release.test_footers import crafted
from yulan import files as disk
from yulan.cli import main
from yulan.data.pack import read_header
from yulan.data.slice import cut, parse_fraction
from yulan.errors import RecipeError
from yulan.layout import Layout
from yulan.lint import lint_mix
from yulan.mix import Group, Mix, Part, load_mix, read_list
from yulan.params import params_for, write_params
from yulan.recipe import load_recipe
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release import fetch as fetching
from yulan.schema import load_json

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "web/Crawl": {f"/z/splited_part-{n}.parquet": draw_rows(n, 400, 1000, 20) for n in range(6)},
    "code/c": {f"/part-{n}.parquet": draw_rows(10 + n, 100, 1000, 20) for n in range(2)},
}
PHASES = {"phase-01": [path for of in FILES.values() for path in of], "phase-02-x": ["/z/splited_part-0.parquet"]}
REPO = "some/tokens"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A data set with every listed file but the last of each source."""
    folder = tmp_path_factory.mktemp("tokens")
    put_files(folder / "files", FILES)
    (folder / "files/input_ids/web/Crawl/z/splited_part-5.parquet").unlink()
    (folder / "files/input_ids/code/c/part-1.parquet").write_bytes(b"no table")
    with running_hub(folder / "hub") as served:
        api = HfApi(endpoint=served.url, token=served.token)
        api.create_repo(REPO, repo_type="dataset")
        api.upload_folder(repo_id=REPO, repo_type="dataset", folder_path=folder / "files")
        yield served


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "clone"
    write_recipe(root, ROOT / "recipes/nano", FILES, PHASES)
    (root / "dvc.yaml").write_text("stages: {}\n")
    write_params(root, params_for(load_recipe(root, "tokens").recipe, "cpu-1"))
    monkeypatch.chdir(root)
    return root


def typed(hub: Served, *words: str) -> Result:
    """All of the phase, unless a fraction is among the words."""
    whole = () if "--fraction" in words else ("--fraction", "1")
    return CliRunner().invoke(main, ["data", "fetch", "--from", hub.url, *words, *whole])


def original(folder: Path, source: str, path: str) -> list[list[int]]:
    found: list[list[int]] = pq.read_table(folder / f"input_ids/{source}{path}")["input_ids"].to_pylist()
    return found


def test_a_slice_is_the_first_files_of_each_source_where_stages_look(hub: Served, clone: Path):
    done = typed(hub, "--phase", "1", "--fraction", "0.5")
    assert (done.exit_code, done.exception) == (0, None)
    place = clone / ".cache/token-files"
    taken = [f"/z/splited_part-{n}.parquet" for n in range(3)]
    assert sorted(p.name for p in place.rglob("*.parquet")) == [
        "part-0.parquet",
        *(f"splited_part-{n}.parquet" for n in range(3)),
    ]
    for path in taken:
        assert original(place, "web/Crawl", path) == FILES["web/Crawl"][path]
    made = load_json(place / "slices/tokens/phase-01-0.5/slice.json")
    Draft202012Validator(json.loads((ROOT / "schemas/slice.json").read_text())).validate(made)
    rows = [row for path in taken for row in FILES["web/Crawl"][path]]
    crawl = [file for file in made["files"] if file["source"] == "web/Crawl"]
    assert sum(file["rows"] for file in crawl) == len(rows)
    assert sum(file["tokens"] for file in crawl) == sum(map(len, rows))
    assert made["wanted"] == math.floor(load_recipe(clone, "tokens").mix("phase-01").total / 2)
    assert "4 files, all match" in done.stdout


def test_the_slice_is_a_mix_in_the_phases_proportions(hub: Served, clone: Path):
    assert typed(hub, "--phase", "phase-01", "--fraction", "1/4", "--to", "here").exit_code == 0
    folder = clone / "here/slices/tokens/phase-01-1-of-4"
    mix, whole = load_mix(folder / "mixes/phase-01.yaml"), load_recipe(clone, "tokens").mix("phase-01")
    assert {name: part.weight for name, part in mix.sources.items()} == whole.quotas(whole.total // 4)
    assert mix.files is not None
    assert [group.published for group in read_list(folder, mix.files)] == [
        ("input_ids/web/Crawl/z/splited_part-0.parquet", "input_ids/web/Crawl/z/splited_part-1.parquet"),
        ("input_ids/code/c/part-0.parquet",),
    ]
    assert not [each for each in lint_mix(mix, "x") if each.level != "note"]


def test_a_slice_is_trained_on_as_a_recipe_of_its_own(hub: Served, clone: Path, monkeypatch: pytest.MonkeyPatch):
    assert typed(hub, "--phase", "1", "--fraction", "1/4").exit_code == 0
    folder, recipe = clone / ".cache/token-files/slices/tokens/phase-01-1-of-4", clone / "recipes/tokens"
    for name in ("mixes/phase-01.yaml", "files/phase-01.txt.gz"):
        (recipe / name).write_bytes((folder / name).read_bytes())
    total = load_mix(recipe / "mixes/phase-01.yaml").total // 128 * 128
    whole = yaml.safe_load((recipe / "recipe.yaml").read_text())
    whole["phases"] = {"phase-01": whole["phases"]["phase-01"] | {"tokens": total}}
    whole["evaluate"]["benchmarked"] = ["phase-01"]
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(whole))
    (recipe / "mixes/phase-02-x.yaml").unlink()
    for words in (("sources",), ("shards",), ("mix", "phase-01")):
        go(clone, monkeypatch, *words)
    header = read_header(Layout(root=clone, recipe="tokens").stage("mix", "phase-01").data)
    assert header.tokens == total
    assert {name: span.quota for name, span in header.sources.items()} == load_recipe(clone, "tokens").mix("phase-01").quotas(
        total
    )


def test_a_plan_says_how_much_it_is_and_fetches_nothing(hub: Served, clone: Path):
    done = typed(hub, "--phase", "1", "--fraction", "0.3", "--plan")
    assert done.exit_code == 0
    path = clone / ".cache"
    assert not path.exists()
    rows = [row for n in range(2) for row in FILES["web/Crawl"][f"/z/splited_part-{n}.parquet"]]
    line = next(line for line in done.stdout.splitlines() if line.startswith("web/Crawl "))
    assert line.split()[1:4] == ["2", f"{len(rows):,}", f"{sum(map(len, rows)):,}"]
    told = json.loads(typed(hub, "--phase", "1", "--fraction", "0.3", "--plan", "--json").stdout)
    assert sum(file["tokens"] for file in told["files"] if file["source"] == "web/Crawl") == sum(map(len, rows))


def test_files_that_are_not_to_be_had_are_named_and_the_others_fetched(hub: Served, clone: Path):
    done = typed(hub, "--phase", "1", "--to", "here")
    assert done.exit_code == 4
    assert "tokens, phase-01: 2 of 8 token files are not to be had. Name a data set that has them with --repo" in done.stderr
    assert "  datasets/some/tokens has no such file: 1\n    input_ids/web/Crawl/z/splited_part-5.parquet\n" in done.stdout
    assert "  what datasets/some/tokens has is not Parquet: 1\n    input_ids/code/c/part-1.parquet\n" in done.stdout
    assert len(list((clone / "here/input_ids").rglob("*.parquet"))) == 6
    made = load_json(clone / "here/slices/tokens/phase-01-1/slice.json")
    assert [each["path"] for each in made["absent"]] == [
        "input_ids/web/Crawl/z/splited_part-5.parquet", "input_ids/code/c/part-1.parquet"
    ]  # fmt: skip
    mix = load_mix(clone / "here/slices/tokens/phase-01-1/mixes/phase-01.yaml")
    assert mix.sources["code/c"].weight == sum(map(len, FILES["code/c"]["/part-0.parquet"]))


def test_a_data_set_that_is_not_there_is_the_reason_of_each_file(hub: Served, clone: Path):
    done = typed(hub, "--phase", "1", "--repo", "some/thing-else", "--plan")
    assert done.exit_code == 4
    assert "datasets/some/thing-else: no such repository, revision or file: 8" in done.stdout
    done = typed(hub, "--phase", "1", "--prefix", "elsewhere/", "--plan")
    assert "datasets/some/tokens has no such file: 8" in done.stdout
    assert "8 of 8 token files are not to be had" in done.stderr


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(hub: Served, clone: Path):
    assert typed(hub, "--phase", "1", "--fraction", "0.5").exit_code == 0
    again = typed(hub, "--phase", "1", "--fraction", "0.5")
    assert "all match; 0 bytes came over the wire" in again.stdout
    path = clone / ".cache/token-files/input_ids/code/c/part-0.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"X")
    assert f"all match; {len(good):,} bytes came over" in typed(hub, "--phase", "1", "--fraction", "0.5").stdout
    assert path.read_bytes() == good


def test_an_interrupted_fetch_goes_on_in_the_middle_of_a_file(hub: Served, clone: Path):
    assert typed(hub, "--phase", "2-x", "--to", "here").exit_code == 0
    path = clone / "here/input_ids/web/Crawl/z/splited_part-0.parquet"
    whole = path.read_bytes()
    path.unlink()
    path.with_name(path.name + disk.PARTIAL).write_bytes(whole[:1000])
    done = typed(hub, "--phase", "2-x", "--to", "here")
    assert f"{len(whole) - 1000:,} bytes came over the wire" in done.stdout
    assert path.read_bytes() == whole
    path.unlink()
    path.with_name(path.name + disk.PARTIAL).write_bytes(b"X" * 1000)
    assert typed(hub, "--phase", "2-x", "--to", "here").exit_code == 0
    assert path.read_bytes() == whole


def test_a_footer_longer_than_the_first_read_is_read_whole(hub: Served, clone: Path, monkeypatch: pytest.MonkeyPatch):
    whole = typed(hub, "--phase", "1", "--fraction", "0.5", "--plan").stdout
    monkeypatch.setattr(fetching, "TAIL", 16)
    assert typed(hub, "--phase", "1", "--fraction", "0.5", "--plan").stdout == whole


def test_a_file_whose_footer_would_end_the_process_is_not_to_be_had(hub: Served, clone: Path):
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("some/crafted", repo_type="dataset")
    where = "input_ids/web/Crawl/z/splited_part-0.parquet"
    api.upload_file(repo_id="some/crafted", repo_type="dataset", path_in_repo=where, path_or_fileobj=crafted())
    done = typed(hub, "--phase", "2-x", "--plan", "--repo", "some/crafted")
    assert done.exit_code == 4
    assert f"what datasets/some/crafted has is not Parquet: 1\n    {where}\n" in done.stdout
    assert done.stderr.count("Error: ") == 1


def test_a_hub_that_is_not_there_ends_with_its_own_code_and_no_token(clone: Path, tmp_path: Path):
    secret = tmp_path / "token"
    secret.write_text("hf_" + "x" * 34)
    words = ["data", "fetch", "--from", "http://127.0.0.1:9", "--token-file", str(secret), "--phase", "1", "--fraction", "1"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 7
    assert "the hub does not answer" in done.stderr
    assert "hf_x" not in done.output


def test_a_source_without_a_data_set_and_a_phase_without_a_list_are_told(hub: Served, clone: Path):
    path = clone / "recipes/tokens/sources.yaml"
    path.write_text(path.read_text().replace("reader: tokens", "reader: none"))
    done = typed(hub, "--phase", "1", "--plan")
    assert (done.exit_code, "the recipe names no data set that holds it: 8" in done.stdout) == (4, True)
    assert typed(hub, "--phase", "2-x", "--plan", "--repo", REPO).exit_code == 0
    mix = clone / "recipes/tokens/mixes/phase-02-x.yaml"
    mix.write_text("\n".join(line if not line.startswith("files:") else "files: null" for line in mix.read_text().splitlines()))
    done = typed(hub, "--phase", "2-x", "--plan")
    assert (done.exit_code, "its mix lists no token files" in done.stderr) == (3, True)
    assert "no phase named 'phase-9'" in typed(hub, "--phase", "phase-9").stderr


@pytest.mark.parametrize("text", ["0", "-0.1", "1.5", "nan", "one", "1/0", ""])
def test_what_is_no_fraction_is_refused(text: str):
    with pytest.raises(RecipeError, match="is no fraction of a phase"):
        parse_fraction(text)


@pytest.mark.parametrize(("fraction", "count"), [("0.01", 1), ("0.1", 1), ("0.11", 2), ("1/3", 4), ("0.3", 3), ("1", 10)])
def test_a_fraction_of_files_is_rounded_up_and_exact(fraction: str, count: int):
    groups = [Group(source="a", tokens=60, paths=tuple("abcdef")), Group(source="a", tokens=40, paths=tuple("ghij"))]
    mix = Mix(total=100, sources={"a": Part(weight=100, repeats=0)}, intent=None, files=None)
    (piece,) = cut(mix, groups, parse_fraction(fraction))
    assert piece.paths == tuple("abcdefghij"[:count])
    assert piece.quota == math.floor(100 * Fraction(fraction))


@pytest.mark.slow
def test_a_hundredth_of_the_real_phase_21_comes_from_a_hub_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    book = load_recipe(ROOT, "yulan-mini")
    mix = book.mix("phase-21")
    assert mix.files is not None
    pieces = cut(mix, read_list(ROOT / "recipes/yulan-mini", mix.files), parse_fraction("0.01"))
    made_up = {piece.source: {path: draw_rows(n, 3, 99_000) for n, path in enumerate(piece.paths)} for piece in pieces}
    put_files(tmp_path / "files", made_up)
    monkeypatch.chdir(ROOT)
    with running_hub(tmp_path / "hub") as served:
        api = HfApi(endpoint=served.url, token=served.token)
        api.create_repo("yulan-team/YuLan-Mini-Datasets", repo_type="dataset")
        api.upload_folder(repo_id="yulan-team/YuLan-Mini-Datasets", repo_type="dataset", folder_path=tmp_path / "files")
        done = typed(served, "yulan-mini", "--phase", "21", "--fraction", "0.01", "--to", str(tmp_path / "to"))
    assert done.exit_code == 0, done.output
    files = sum(len(piece.paths) for piece in pieces)
    assert files == 103
    assert f"{files} files, all match" in done.stdout
    assert "phase-21: 103 of 4,050 listed files" in done.stderr
    assert sum(path.suffix == ".parquet" for path in (tmp_path / "to/input_ids").rglob("*")) == files
