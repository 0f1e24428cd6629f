"""DVC of anybody's pins a published file by the hub's own address (docs/guides/reproduce.md)."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.release.judged import dvc, run
from tests.unit.release.kit import NAME, contents
from yulan import manifest
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.names import parse

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    run(tmp_path, "git", "init", "-q", "project")
    dvc(tmp_path / "project", "init", "-q")
    return tmp_path / "project"


def test_a_file_of_a_commit_is_imported_by_its_digest(published: tuple[Layout, Served], project: Path):
    layout, served = published
    commit = Hub(served.url, None).commit_of(parse(f"hf://{NAME}").repo, "final")
    for name in ("model.safetensors", "config.json"):
        dvc(project, "import-url", f"{served.url}/{NAME}/resolve/{commit}/{name}")
    main = layout.stage("bundle").data / "model" / "main"
    assert {name: data for name, data in contents(project).items() if name in ("model.safetensors", "config.json")} == {
        name: (main / name).read_bytes() for name in ("model.safetensors", "config.json")
    }
    # The ETag that DVC keeps is the digest of the release's own list.
    told = {file.path: file.sha256 for file in manifest.read(main / "manifest.json").files}
    (dep,) = yaml.safe_load((project / "model.safetensors.dvc").read_text())["deps"]
    assert dep["checksum"].strip('"') == told["model.safetensors"]
    before = (project / "model.safetensors.dvc").read_bytes()
    dvc(project, "update", "model.safetensors.dvc")
    assert (project / "model.safetensors.dvc").read_bytes() == before
    assert dvc(project, "status", "--json").stdout.strip() == "{}"


def test_a_data_set_has_its_own_address_and_hf_is_none_that_dvc_knows(published: tuple[Layout, Served], project: Path):
    _, served = published
    data = parse(f"hf://{NAME}-data").repo
    commit = Hub(served.url, None).commit_of(data, "main")
    dvc(project, "import-url", f"{served.url}/datasets/{NAME}-data/resolve/{commit}/packs/pieces.bin")
    assert (project / "pieces.bin").stat().st_size == 2000
    refused = run(project, sys.executable, "-m", "dvc", "import-url", f"hf://{NAME}/config.json", check=False)
    assert "Unsupported URL type hf://" in refused.stderr
