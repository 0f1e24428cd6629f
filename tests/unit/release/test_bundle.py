"""What a bundle holds, and that equal inputs give equal bytes."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from tests.pipeline.clone import HERE
from tests.unit.release.kit import contents
from tests.unit.release.small import evaluation, make_inputs, write_step
from yulan import files, manifest
from yulan.data.index import seen
from yulan.data.index.at import Phase
from yulan.data.tokenizer import load
from yulan.errors import DataError, IntegrityError
from yulan.model.shape import Parameter
from yulan.release.bundle.build import build, summary
from yulan.release.card.evidence import Figures, naked, pointer, prose
from yulan.release.card.scores import scores
from yulan.release.export import end_of
from yulan.release.folder import check
from yulan.release.release import read_release
from yulan.release.weights import write_weights
from yulan.train.onward.start import find_start, find_tokenizer

FINAL, SHORT, STABLE = "phase-03-step-000032", "phase-03-short-step-000032", "phase-02-step-000024"
BEGIN = "phase-03-step-000024"


def test_two_builds_of_the_same_inputs_are_equal(small: Path, tmp_path: Path):
    build(make_inputs(tmp_path / "again"), tmp_path / "bundle")
    assert contents(tmp_path / "bundle") == contents(small)


def test_main_is_the_main_final_and_tags_name_both_finals(small: Path):
    release = read_release(small)
    assert release.model.revisions["main"] == release.model.revisions[FINAL]
    assert release.model.tags == {"final": "main", "final-short": SHORT, "before-annealing": STABLE}
    assert release.states.tags == {"final": FINAL, "final-short": SHORT, "before-annealing": STABLE}
    ours, main = contents(small / "model" / FINAL), contents(small / "model" / "main")
    assert {name for name in main if ours.get(name) != main[name]} == {"card.json", "checkpoints.csv"}


def test_only_finals_are_folded(small: Path):
    folded = load_file(small / "model" / FINAL / "model.safetensors")
    plain = load_file(small / "model" / STABLE / "model.safetensors")
    assert not [name for name in folded if "alpha" in name]
    assert "lm_head_alpha" in plain


def test_what_stood_of_each_benchmark_in_the_text_is_in_the_data_repository(small: Path):
    data = small / "data" / "main"
    made = json.loads((data / "contamination.json").read_text())
    assert made["benchmarks"]["arc_easy"]["found"] == {"items": 1, "documents": 1, "bytes": 1234}
    assert "| arc_easy | 9 | 8 | 1 | 1 | 1,234 |" in (data / "README.md").read_text()


def test_every_revision_lists_its_files(small: Path):
    for part in ("data", "states", "model"):
        for folder in (small / part).iterdir():
            assert check(folder).differences == ()


def test_a_states_revision_has_the_tokenizer_that_its_weights_learned(small: Path):
    for revision in (STABLE, FINAL):
        states, model = small / "states" / revision / "tokenizer", small / "model" / revision
        for name in ("tokenizer.json", "tokenizer_config.json"):
            assert (states / name).read_bytes() == (model / name).read_bytes()


def test_a_states_revision_has_all_that_going_on_with_own_text_needs(small: Path):
    start = find_start(small / "states" / STABLE)
    assert (start.recipe.name, start.state.global_step) == ("tiny", 24)
    codec = load(find_tokenizer(start, None), start.recipe.data.tokenizer, begin_with_bos=False)
    assert codec.vocab_size == start.recipe.data.tokenizer.vocab_size


def test_every_kept_checkpoint_is_a_states_revision_with_its_logs(tmp_path: Path):
    inputs = make_inputs(tmp_path / "clone")
    step = inputs.book.recipe.start("phase-02") + 4
    write_step(inputs.trained["phase-02"] / "checkpoints" / f"step-{step:06d}", inputs.book, "phase-02", step)
    release = build(inputs, tmp_path / "bundle")
    kept = f"phase-02-step-{step:06d}"
    assert kept in release.states.revisions.keys() - release.model.revisions.keys()
    folder = tmp_path / "bundle" / "states" / kept
    assert {"metrics.jsonl", "replay.jsonl", "watch.jsonl", "checkpoint"} <= {path.name for path in folder.iterdir()}
    assert check(folder).differences == ()
    assert "yulan continue" not in (folder / "README.md").read_text()
    # So every file of a training is in the release, and a clone can be restored from it.
    told = {file.sha256 for path in (tmp_path / "bundle").rglob("manifest.json") for file in manifest.read(path).files}
    for phase, trained in inputs.trained.items():
        assert {file.sha256 for file in manifest.survey(trained)} <= told, phase


def test_what_a_phase_began_rebalanced_with_is_a_states_revision_that_pins_its_parent(small: Path):
    release, begin = read_release(small), manifest.read(small / "states" / BEGIN / "manifest.json")
    assert BEGIN not in release.model.revisions
    assert begin.inputs[f"states/{STABLE}"] == release.states.revisions[STABLE]
    assert (
        begin.summary["rebalanced"] == manifest.read(small / "states" / BEGIN / "checkpoint/manifest.json").summary["rebalanced"]
    )
    assert begin.summary["rebalanced"]
    rows = list(csv.DictReader((small / "states/main/checkpoints.csv").read_text().splitlines()))
    assert {row["revision"]: row["begin"] for row in rows if row["begin"]} == {FINAL: BEGIN, "main": BEGIN}
    card = (small / "states" / BEGIN / "README.md").read_text()
    assert f"It is the end of `{STABLE}` in re-balanced coordinates" in card
    assert "yulan continue states --phase phase-03\n" in card


def test_a_phase_whose_begin_is_lost_cannot_be_bundled(tmp_path: Path):
    inputs = make_inputs(tmp_path)
    shutil.rmtree(inputs.trained["phase-03"] / "checkpoints/step-000024")
    with pytest.raises(DataError, match="phase-03 begins re-balanced, and that checkpoint, of step 24"):
        build(inputs, tmp_path / "bundle")


def test_the_data_card_says_what_a_score_is(small: Path):
    card = (small / "data" / "main" / "README.md").read_text(encoding="utf-8")
    assert "likeness to the reference sources as a classifier sees it, not a person's judgement" in card
    assert "| `topics/code` | `code/networkx` | 0.988 | 0.050 | 0.900 | 0.933 |" in card


def test_the_text_of_others_is_not_in_the_data(small: Path):
    tables = {name for name in contents(small / "data" / "main") if name.endswith(".parquet")}
    made = {"synthetic/rejected.parquet", "synthetic/sums/00000.parquet"}
    passed_on = {f"text/code/networkx/{split}/00000.parquet" for split in ("train", "held_out")}
    assert tables == made | passed_on | {"documents/held.parquet", "documents/train.parquet"}
    columns = pq.read_schema(small / "data" / "main" / "documents" / "train.parquet").names
    assert columns == ["source", "id", "start", "length", "cleaned"]


def test_bytes_are_counted_once(small: Path):
    told = summary(small, read_release(small))
    assert told["model"]["revisions"] == 5
    assert told["model"]["bytes"] < sum(len(data) for data in contents(small / "model").values())


def test_a_phase_without_its_last_checkpoint_or_a_release_without_a_main_final_is_refused(tmp_path: Path):
    inputs = make_inputs(tmp_path)
    with pytest.raises(DataError, match="0 finals without a variant"):
        build(replace(inputs, ends=inputs.ends[:2]), tmp_path / "bundle")
    checkpoints = tmp_path / "work" / "train" / "phase-01" / "checkpoints"
    (checkpoints / "step-000016").rename(checkpoints / "step-000012")
    with pytest.raises(DataError, match="no checkpoint at step 16"):
        end_of(inputs.book.recipe, "phase-01", checkpoints.parent)


def test_large_weights_come_in_shards_with_an_index(tmp_path: Path):
    import json

    rows = [Parameter(name=f"t{n}", shape=(4,), kind="norm") for n in range(5)]
    write_weights(tmp_path, rows, ((r.name, torch.full((4,), float(n))) for n, r in enumerate(rows)), "float32", shard=32)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 80
    assert set(index["weight_map"].values()) == {f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
    assert load_file(tmp_path / index["weight_map"]["t4"])["t4"].tolist() == [4.0] * 4


def test_a_weight_that_is_not_finite_is_not_released(tmp_path: Path):
    row = Parameter(name="t", shape=(1,), kind="norm")
    with pytest.raises(IntegrityError, match="t is not finite"):
        write_weights(tmp_path, [row], iter([("t", torch.tensor([float("nan")]))]), "float32")
    with pytest.raises(IntegrityError, match="u stands where t belongs"):
        write_weights(tmp_path, [row], iter([("u", torch.zeros(1))]), "float32")


def test_names_are_not_numbers_and_numbers_are_not_hidden():
    assert naked("phase-03 CC-BY-SA-4.0 SmolLM2-135M a **bold** (word)") == []
    assert naked("28K 65.67% (3) -1 ±0.01 1,234.5") == ["28K", "65.67%", "3", "-1", "±0.01", "1,234.5"]
    assert naked("共 30 篇，约40篇（50）。按 sha256 与 CC-BY-SA-4.0") == ["30", "40", "50"]
    assert naked(prose("---\nx: 1\n---\n`5` [a](http://b/6) https://c/7 <!-- 8 -->\n```\n9\n```\nten")) == []


def test_a_figure_that_no_result_holds_stops_the_card(tmp_path: Path):
    figures = Figures(tmp_path, {"evaluation.json": {"held_out": {"en/wiki": {"bits_per_byte": 2.0}}}})
    assert figures("evaluation.json", pointer("held_out", "en/wiki", "bits_per_byte"), "decimal") == "2.000"
    with pytest.raises(DataError, match="no value at /held_out/prose"):
        figures("evaluation.json", "/held_out/prose", "decimal")


def test_a_file_that_is_no_evaluation_stops_the_card():
    assert scores(evaluation("phase-01", 1)).bits[0].after == "/held_out/prose/bits_per_byte"
    with pytest.raises(DataError, match="not an evaluation"):
        scores({"held_out": {}})


def test_the_index_leads_to_the_digest_that_the_release_pins(small: Path, tmp_path: Path):
    folder = small / "data" / "main"
    pinned = json.loads((small / "release.json").read_text())["data"]["revisions"]["main"]
    source = seen.published(folder)
    documents = pq.read_table(folder / "documents" / "train.parquet")
    phases = list(source.index.header.phases)
    asked = next(p for p in Phase.of_release(folder, phases[0]).passages(1)).document
    assert asked in documents["id"].to_pylist()
    files.write_json(tmp_path / "proof.json", seen.proof(source.index.ask(asked, "id"), source))
    words = [sys.executable, "-I", "-S", str(HERE / "docs/formats/check_index.py"), str(tmp_path / "proof.json")]
    for trusted, code in ((pinned, 0), ("0" * 64, 1)):
        assert subprocess.run([*words, trusted], check=False, capture_output=True).returncode == code
