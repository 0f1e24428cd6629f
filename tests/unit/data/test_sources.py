"""Packages are fetched by pip alone, once, and only the pinned bytes are used."""

import dataclasses
from pathlib import Path

import pytest

from tests.unit.data.corpus_kit import MEMBERS, make_wheel, source, sources_of
from tests.unit.data.tokenizer_kit import published
from yulan import digest, manifest
from yulan.data import sources as module
from yulan.data.sources import fetch, gather, located, located_tokenizer, matching, require_pinned, unpack
from yulan.errors import DataError, IntegrityError


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_only_the_files_that_are_named_are_taken_out(index: Path, tmp_path: Path):
    sources = sources_of(make_wheel(index, "pack", MEMBERS))
    assert gather(sources, tmp_path / "downloads", tmp_path / "data") == {"pack": 4}
    names = [file.path for file in manifest.survey(tmp_path / "data")]
    assert names == ["pack/pack/__init__.py", "pack/pack/a.py", "pack/pack/model.gguf", "pack/pack/quiz.jsonl.gz"]
    assert (tmp_path / "data/pack/pack/a.py").read_text() == MEMBERS["pack/a.py"]
    assert [path.name for path in located(tmp_path / "data", sources.sources["code/pack"])] == ["__init__.py", "a.py"]


def test_a_published_tokenizer_comes_with_its_package(index: Path, tmp_path: Path):
    sources = sources_of(make_wheel(index, "pack", MEMBERS | {"pack/tokenizer.json": "{}"}))
    about = published(sha256=digest.of_bytes(b"{}"))
    assert gather(sources, tmp_path / "downloads", tmp_path / "data", about) == {"pack": 5}
    path = located_tokenizer(tmp_path / "data", about)
    assert path.read_text() == "{}"
    require_pinned(about, path)


def test_text_that_was_published_elsewhere_is_not_fetched(index: Path, tmp_path: Path):
    elsewhere = {"web/a": source(package=None, hub="some/web", paths=()), "web/b": source(package=None, hub="unknown", paths=())}
    sources = sources_of(make_wheel(index, "pack", MEMBERS), sources=elsewhere)
    with pytest.raises(DataError, match="2 sources and benchmarks lie in no package") as error:
        gather(sources, tmp_path / "downloads", tmp_path / "data")
    assert error.value.evidence == ("web/a  some/web", "web/b  unknown")
    assert not (tmp_path / "downloads").exists()


def test_a_file_that_is_there_is_not_fetched_again(index: Path, tmp_path: Path):
    package = make_wheel(index, "pack", MEMBERS)
    first = fetch("pack", package, tmp_path)
    (index / package.file).unlink()
    assert fetch("pack", package, tmp_path) == first
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [package.sha256]


def test_what_a_killed_fetch_left_is_swept(index: Path, tmp_path: Path):
    sources = sources_of(make_wheel(index, "pack", MEMBERS))
    (tmp_path / "downloads/pack-x.partial").mkdir(parents=True)
    gather(sources, tmp_path / "downloads", tmp_path / "data")
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == [sources.packages["pack"].sha256]


def test_a_broken_download_is_fetched_again(index: Path, tmp_path: Path):
    package = make_wheel(index, "pack", MEMBERS)
    path = fetch("pack", package, tmp_path)
    path.write_bytes(b"x" * package.size)
    assert fetch("pack", package, tmp_path).read_bytes() == (index / package.file).read_bytes()


def test_other_bytes_under_the_pinned_version_are_refused(index: Path, tmp_path: Path):
    package = make_wheel(index, "pack", MEMBERS)
    make_wheel(index, "pack", {**MEMBERS, "pack/a.py": "import os\n"})
    with pytest.raises(IntegrityError, match=r"packages\.pack: pack 1\.0 is not the pinned file\. Do not use it") as error:
        fetch("pack", package, tmp_path / "downloads")
    assert package.sha256 in error.value.evidence[0]
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_package_that_pip_does_not_find_names_the_cure(index: Path, tmp_path: Path):
    package = dataclasses.replace(make_wheel(tmp_path / "elsewhere", "pack", MEMBERS), version="9.9")
    with pytest.raises(DataError, match=r"packages\.pack: pip cannot fetch pack 9\.9\. Check the network") as error:
        fetch("pack", package, tmp_path / "downloads")
    assert any("No matching distribution" in row for row in error.value.evidence)


def test_a_path_that_names_no_file_is_an_error(tmp_path: Path):
    package = make_wheel(tmp_path, "pack", MEMBERS)
    with pytest.raises(DataError, match=r"\$\.sources\.x\.paths: no file 'pack/z\*' in pack-1\.0"):
        unpack(tmp_path / package.file, [("$.sources.x.paths", ("pack/*.py", "pack/z*"), ())], tmp_path / "out")


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "pack/../../out.py", "pack/a\nb.py"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str):
    package = make_wheel(tmp_path, "pack", {name: "x"})
    with pytest.raises(IntegrityError, match="is not allowed"):
        unpack(tmp_path / package.file, [("$", ("**",), ())], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LARGEST", 10)
    package = make_wheel(tmp_path, "pack", {"pack/a.py": "x" * 11})
    with pytest.raises(IntegrityError, match=r"unpacks to 11 bytes\. Name fewer files"):
        unpack(tmp_path / package.file, [("$", ("pack/*",), ())], tmp_path / "out")


def test_what_is_no_archive_is_an_error(tmp_path: Path):
    (tmp_path / "pack.whl").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"not a wheel\. Pin a wheel"):
        unpack(tmp_path / "pack.whl", [("$", ("*",), ())], tmp_path / "out")


def test_patterns_know_folders():
    names = ["a/b.py", "a/c/b.py", "a/c/d/b.py", "a/c/tests/b.py", "ab.py"]
    assert matching(names, ["a/*.py"]) == ["a/b.py"]
    assert matching(names, ["a/**/*.py"], ["**/tests/**"]) == ["a/b.py", "a/c/b.py", "a/c/d/b.py"]
    assert matching(names, ["a?.py"]) == ["ab.py"]
    assert matching(names, ["a/[bc].py"]) == []


def test_a_source_that_synthesize_makes_has_no_files(tmp_path: Path):
    assert located(tmp_path, source(package=None, paths=())) == []
