"""Every byte of a folder is as listed, or its file is named."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.release.kit import fill, judge
from yulan.cli import main
from yulan.errors import DataError, IntegrityError
from yulan.layout import Layout
from yulan.release.verify import verify_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "model" / "main", {"model.safetensors": b"weights", "sub/config.json": b"{}"})
    return tmp_path / "model" / "main"


def test_a_whole_folder_is_counted(folder: Path):
    assert verify_folder(folder).files == 3
    done = CliRunner().invoke(main, ["verify", str(folder)])
    assert done.output == f"{folder}: 3 files, all match\n"
    assert '"files": 3' in CliRunner().invoke(main, ["verify", "--json", str(folder)]).output


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"Weights"), "changed  model.safetensors"),
        (lambda f: (f / "README.md").write_text("# better"), "changed  README.md"),
        (lambda f: (f / "sub" / "config.json").unlink(), "missing  sub/config.json"),
        (lambda f: (f / "card.json").unlink(), "missing  card.json"),
        (lambda f: (f / "modeling.py").write_text("import os"), "extra    modeling.py"),
        (lambda f: (f / ".cache").mkdir() or (f / ".cache" / "x").write_text(""), "extra    .cache/x"),
        (lambda f: os.symlink("/etc/hostname", f / "link"), "link     link"),
        (lambda f: (f / "README.md").unlink() or os.symlink("sub/config.json", f / "README.md"), "link     README.md"),
        (lambda f: os.symlink("/etc", f / "etc"), "link     etc"),
        (lambda f: os.mkfifo(f / "pipe"), "link     pipe"),
    ],
)  # fmt: skip
def test_what_is_not_as_listed_is_named(folder: Path, change, row: str):
    change(folder)
    with pytest.raises(IntegrityError, match="does not match its manifest") as told:
        verify_folder(folder)
    assert row in told.value.evidence


def test_what_downloads_leave_beside_the_files_is_left_alone(folder: Path):
    (folder / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "download" / "x.lock").write_text("")
    (folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    assert verify_folder(folder).files == 3


def test_the_links_of_a_hub_cache_are_followed_into_its_own_blobs_only(folder: Path, tmp_path: Path):
    repo = tmp_path / "hub" / "models--a--b"
    shutil.copytree(folder, repo / "snapshots" / "c0ffee")
    weights = repo / "snapshots" / "c0ffee" / "model.safetensors"
    (repo / "blobs").mkdir()
    weights.rename(repo / "blobs" / "ab")
    weights.symlink_to("../../blobs/ab")
    assert verify_folder(repo / "snapshots" / "c0ffee").files == 3
    (tmp_path / "elsewhere").write_bytes(b"weights")
    weights.unlink()
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError):
        verify_folder(repo / "snapshots" / "c0ffee")


def test_an_artifact_of_a_clone_is_verified_too(layout: Layout):
    judge(layout)
    place = layout.stage("gate")
    assert verify_folder(place.folder).files == 1
    (place.data / "verdict.json").write_text("{}")
    with pytest.raises(IntegrityError):
        verify_folder(place.folder)


def test_a_folder_without_a_list_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no manifest.json"):
        verify_folder(tmp_path)


def test_a_file_in_two_lists_is_refused(folder: Path):
    import json

    card = json.loads((folder / "card.json").read_text())
    card["files"] += [f for f in json.loads((folder / "manifest.json").read_text())["files"] if "config" in f["path"]]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(IntegrityError, match="is listed twice"):
        verify_folder(folder)


def test_an_edited_card_changes_no_identity(folder: Path):
    before = verify_folder(folder).digest
    fill(folder, {"checkpoints.csv": b"revision\n"})
    assert verify_folder(folder).digest == before


def test_verify_imports_neither_torch_nor_a_hub_client(folder: Path):
    import subprocess
    import sys

    code = (
        f"import sys; from yulan.cli import main; main(['verify', {str(folder)!r}], standalone_mode=False); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "huggingface_hub", "httpx2"} & set(loaded)
