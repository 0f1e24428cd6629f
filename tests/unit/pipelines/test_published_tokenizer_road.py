"""A recipe of token files whose tokenizer its authors published: fetched from a hub, trained, evaluated and exported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from huggingface_hub import HfApi

from pipelines import evaluate, export, init, mix, shards, sources, tokenizer, train
from pipelines.stage import _run
from tests.unit.data.token_kit import draw_rows, put_files, write_recipe
from tests.unit.data.tokenizer_kit import END, GPT2, PAD, gpt2, pin, write
from yulan.cli import main
from yulan.data.shard import read_shards
from yulan.errors import RecipeError
from yulan.layout import Layout
from yulan.manifest import read
from yulan.params import params_for, write_params
from yulan.recipe import load_recipe
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.schema import load_json

ROOT = Path(__file__).resolve().parents[3]
FILES = {"web/Crawl": {f"/z/splited_part-{n}.parquet": draw_rows(n, 60, 300, 20) for n in range(3)}}
PHASES = {"phase-01": ["/z/splited_part-0.parquet", "/z/splited_part-1.parquet"], "phase-02": ["/z/splited_part-2.parquet"]}
REPO = "some/model"
WORK = {
    "sources": sources.work,
    "tokenizer": tokenizer.work,
    "shards": shards.work,
    "mix": mix.work,
    "init": init.work,
    "train": train.work,
    "evaluate": evaluate.work,
    "export": export.work,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("published")
    write(gpt2(), folder / "files/tokenizer.json")
    with running_hub(folder / "hub") as served:
        api = HfApi(endpoint=served.url, token=served.token)
        api.create_repo(REPO)
        api.upload_folder(repo_id=REPO, folder_path=folder / "files")
        yield served


@pytest.fixture
def clone(tmp_path: Path, hub: Served, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its recipe names the hub's file by commit and digest."""
    root = tmp_path / "clone"
    write_recipe(root, ROOT / "recipes/nano", FILES, PHASES)
    commit = HfApi(endpoint=hub.url, token=hub.token).repo_info(REPO).sha
    path = root / "recipes/tokens/recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["model"]["vocab_size"] = GPT2.vocab_size
    recipe["data"]["shards"]["held_out"] = 200
    recipe["evaluate"]["benchmarked"] = ["phase-02"]
    recipe["data"]["tokenizer"] = {"vocab_size": 303, "special": [END, PAD], "bos": END, "eos": END, "learn": None}
    about = {"package": None, "hub": REPO, "revision": commit, "path": "tokenizer.json", "licence": "MIT", "loses": []}
    digest = pin(write(gpt2(), tmp_path / "tokenizer.json"))
    recipe["data"]["tokenizer"]["published"] = about | {"sha256": digest}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    (root / "dvc.yaml").write_text("stages: {}\n")
    write_params(root, params_for(load_recipe(root, "tokens").recipe, "cpu-1"))
    monkeypatch.chdir(root)
    return root


def change(root: Path, **keys: object) -> None:
    path = root / "recipes/tokens/recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["data"]["tokenizer"]["published"] |= keys
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))


def fetch(hub: Served) -> Result:
    return CliRunner().invoke(main, ["data", "tokenizer", "--from", hub.url])


@pytest.mark.slow
def test_a_published_tokenizer_lets_a_recipe_of_token_files_be_evaluated_and_exported(
    clone: Path, hub: Served, monkeypatch: pytest.MonkeyPatch
):
    layout = Layout(root=clone, recipe="tokens")
    put_files(layout.token_files, FILES)
    done = fetch(hub)
    assert (done.exit_code, done.output.startswith("some/model/tokenizer.json: as pinned; ")) == (0, True)
    road = ("sources", "tokenizer", "shards", "mix phase-01", "init", "train phase-01", "evaluate phase-01")
    for words in (*road, "mix phase-02", "train phase-02", "export"):
        monkeypatch.setattr(sys, "argv", words.split())
        _run(words.split()[0], WORK[words.split()[0]])
    assert read(layout.stage("tokenizer").manifest).summary == {"vocab_size": 303}
    assert set(read(layout.stage("shards").manifest).inputs) == {"sources", "tokenizer"}
    made = read_shards(layout.stage("shards").data)
    assert (made.vocab_size, made.eos_id, made.bos_id) == (303, 300, None)
    result = load_json(layout.stage("evaluate", "phase-01").data / "evaluation.json")
    assert 0 < result["held_out"]["web"]["bits_per_byte"] < 20
    assert all(sample["text"] is not None for sample in result["generations"])
    [final] = [folder for folder in layout.stage("export").data.iterdir() if folder.name.startswith("phase-02")]
    assert pin(final / "tokenizer.json") == load_recipe(clone, "tokens").recipe.data.tokenizer.published.sha256  # type: ignore[union-attr]
    assert (load_json(final / "config.json")["eos_token_id"], load_json(final / "config.json")["vocab_size"]) == (300, 303)


def test_other_bytes_than_the_pinned_ones_are_thrown_away(clone: Path, hub: Served):
    change(clone, sha256="1" * 64)
    done = fetch(hub)
    assert done.exit_code != 0
    assert "not the pinned tokenizer" in done.output
    assert not [path for path in (clone / ".cache/downloads").iterdir() if path.is_file()]


def test_a_file_that_a_revision_does_not_have_is_named(clone: Path, hub: Served):
    change(clone, path="other/tokenizer.json")
    assert "the revision has no such file" in fetch(hub).output


def test_a_recipe_that_learns_has_nothing_to_fetch(clone: Path, hub: Served):
    nano = yaml.safe_load((ROOT / "recipes/nano/recipe.yaml").read_text())["data"]["tokenizer"]
    path = clone / "recipes/tokens/recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["data"]["tokenizer"] = nano | {"vocab_size": 303}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    assert "its tokenizer is on no hub" in fetch(hub).output


def test_a_package_that_sources_do_not_list_is_named(clone: Path):
    change(clone, package="pack", hub=None, revision=None)
    with pytest.raises(RecipeError, match=r"published\.package: no package 'pack'"):
        load_recipe(clone, "tokens")
