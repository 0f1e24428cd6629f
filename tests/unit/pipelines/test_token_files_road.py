"""A recipe whose sources are published token files: from the fetched files through shards and mixes to a training step."""

import struct
import sys
from pathlib import Path

import pytest

from pipelines import init, mix, shards, sources, train
from pipelines.stage import Stage, _run
from tests.unit.data.token_kit import draw_rows, put_files, write_recipe
from yulan import digest
from yulan.data.batch import Batches
from yulan.data.order import Order, order_key
from yulan.data.pack import Pack
from yulan.data.shard import Stream, read_shards
from yulan.data.trace import documents_at
from yulan.errors import DataError, RecipeError
from yulan.layout import Layout
from yulan.manifest import read, require_whole
from yulan.params import params_for, write_params
from yulan.recipe import load_recipe
from yulan.train.launch.job import CHECKPOINTS

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "web/Crawl": {f"/z/splited_part-{n}.parquet": draw_rows(n, 40, 1000, 20) for n in range(3)},
    "code/c": {"/part-0.parquet": draw_rows(10, 40, 1000, 20)},
    "code/c_2": {"__round__2/part-0.parquet": draw_rows(11, 40, 1000, 20)},
}
PHASES = {
    "phase-01": ["/z/splited_part-2.parquet", "/part-0.parquet"],
    "phase-02": ["/z/splited_part-0.parquet", "/z/splited_part-1.parquet", "__round__2/part-0.parquet"],
}


def go(root: Path, patch: pytest.MonkeyPatch, *words: str) -> None:
    """Run a stage as `python -m pipelines.<stage> [PHASE]` does."""
    patch.chdir(root)
    patch.setattr(sys, "argv", list(words))
    work = {"sources": sources.work, "shards": shards.work, "mix": mix.work, "init": init.work, "train": train.work}

    def none(_: Stage) -> None:
        raise AssertionError("a stage that works on text had work to do")

    _run(words[0], work.get(words[0], none))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    write_recipe(root, ROOT / "recipes/nano", FILES, PHASES)
    (root / "dvc.yaml").write_text("stages: {}\n")
    write_params(root, params_for(load_recipe(root, "tokens").recipe, "cpu-1"))
    return root


def test_files_that_were_not_fetched_are_named_with_the_command(root: Path, monkeypatch: pytest.MonkeyPatch):
    put_files(Layout(root=root, recipe="tokens").token_files, {"web/Crawl": FILES["web/Crawl"]})
    with pytest.raises(DataError) as error:
        go(root, monkeypatch, "sources")
    first, *others = str(error.value).splitlines()
    assert "2 of 5 listed token files were not fetched. Fetch them with: yulan data fetch --phase PHASE" in first
    assert others == ["  missing  input_ids/code/c/part-0.parquet", "  missing  input_ids/code/c_2__round__2/part-0.parquet"]


@pytest.mark.slow
def test_token_files_become_shards_mixes_and_a_step(root: Path, monkeypatch: pytest.MonkeyPatch):
    layout = Layout(root=root, recipe="tokens")
    put_files(layout.token_files, FILES)
    for name in ("sources", "raw", "clean", "synthesize", "dedup", "decontaminated", "tokenizer", "shards"):
        go(root, monkeypatch, name)
        require_whole(layout.stage(name))
    assert read(layout.stage("raw").manifest).summary == {"text": "none: every source is token files"}
    assert read(layout.stage("shards").manifest).inputs == {"sources": read(layout.stage("sources").manifest).digest}
    place = layout.stage("shards").data
    made = read_shards(place)
    assert (made.vocab_size, made.eos_id, made.dtype) == (1000, 2, "uint16")
    # Phase by phase in the order of the lists: the first phase reads its own files.
    crawl = FILES["web/Crawl"]
    expected = [t for n in (2, 0, 1) for row in crawl[f"/z/splited_part-{n}.parquet"] for t in (*row, 2)]
    split = made.sources["web/Crawl"].train
    assert Stream(place, split, made.dtype).read(0, split.tokens).tolist() == expected
    for phase in PHASES:
        go(root, monkeypatch, "mix", phase)
    pack = Pack.open(layout.stage("mix", "phase-01").data, place)
    mixed = read(layout.stage("mix", "phase-01").manifest).digest
    order = Order(windows=pack.windows, key=order_key(mixed, load_recipe(root, "tokens").recipe.seed))
    batch = Batches(pack=pack, order=order, batch=4, grid=4).micro(0, 0)
    known = {tuple(row) for of in FILES.values() for rows in of.values() for row in rows}
    begins = [i for i in batch.cu_seqlens.tolist()[1:-1] if 2 in batch.tokens[0, i:32].tolist()]
    for i in begins:
        document = batch.tokens[0, i:32].tolist()
        assert tuple(document[: document.index(2)]) in known
    assert begins
    ids = {digest.of_bytes(struct.pack(f"<{len(row)}I", *row)) for row in known}
    excerpts = documents_at(pack, place, 0)
    assert {each.document for each in excerpts} <= ids
    assert sum(each.length for each in excerpts) == pack.window(0).length
    go(root, monkeypatch, "init")
    go(root, monkeypatch, "train", "phase-01")
    assert read(layout.stage("train", "phase-01").manifest).summary["steps"] == 1
    assert sorted(path.name for path in (layout.stage("train", "phase-01").data / CHECKPOINTS).iterdir()) == ["step-000001"]


def test_a_tokenised_source_says_where_its_files_are(root: Path):
    path = root / "recipes/tokens/sources.yaml"
    path.write_text(path.read_text().replace("repo: some/tokens", "repos: some/tokens", 1))
    with pytest.raises(RecipeError, match="token files lie in no package, and their options are repo and column"):
        load_recipe(root, "tokens")
