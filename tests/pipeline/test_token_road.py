"""A recipe of published token files, fetched from a hub and built by DVC, in a clean clone."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.pipeline.clone import hub, make_clone
from tests.unit.data.token_kit import draw_rows, put_files, write_recipe
from yulan.layout import Layout
from yulan.manifest import read, require_whole

FILES = {
    "web/Crawl": {f"/z/splited_part-{n}.parquet": draw_rows(n, 40, 1000, 20) for n in range(3)},
    "code/c": {"/part-0.parquet": draw_rows(10, 40, 1000, 20)},
}
PHASES = {
    "phase-01": ["/z/splited_part-2.parquet", "/part-0.parquet"],
    "phase-02": ["/z/splited_part-0.parquet", "/z/splited_part-1.parquet"],
}


@pytest.mark.large
def test_fetched_token_files_are_trained_on_by_dvc(tmp_path: Path):
    clone = make_clone(tmp_path / "clone")
    write_recipe(clone.root, clone.root / "recipes/nano", FILES, PHASES)
    clone.commit("a recipe of token files")
    clone.yulan("use", "tokens", "--profile", "cpu-1")
    put_files(tmp_path / "published", FILES)
    with hub(clone, tmp_path / "hub") as (url, token):
        api = HfApi(endpoint=url, token=token)
        api.create_repo("some/tokens", repo_type="dataset")
        api.upload_folder(repo_id="some/tokens", repo_type="dataset", folder_path=tmp_path / "published")
        for phase in ("1", "2"):
            done = clone.yulan("data", "fetch", "--from", url, "--phase", phase, "--fraction", "1")
            assert "2 files, all match" in done.stdout
    clone.dvc("repro", "train@phase-02")
    layout = Layout(root=clone.root, recipe="tokens")
    assert require_whole(layout.stage("train", "phase-02")).summary["global_step"] == 2
    sources = read(layout.stage("sources").manifest)
    assert sources.summary["token_files"] == {"code/c": 1, "web/Crawl": 3}
    assert read(layout.stage("shards").manifest).inputs == {"sources": sources.digest}
    assert clone.dvc("status", "train@phase-02").stdout.strip().endswith("up to date.")
