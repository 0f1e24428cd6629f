"""`yulan evaluate` on a checkpoint and its released forms, with data sets in a folder and on a hub."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from lm_eval.api.metrics import mean_stderr
from lm_eval.api.model import LM

from tests.unit.evaluate.suite_kit import CONTEXT, Ground, asked, typed, write_trained
from yulan.data import tokenizer
from yulan.errors import StateError
from yulan.evaluate.answers import engine, put, standard_error
from yulan.evaluate.asked import Asked, Data, make_ready
from yulan.evaluate.evaluated import NAME, SAMPLES, Evaluated, read_samples
from yulan.evaluate.runner import Runner, load_decoder
from yulan.evaluate.subject import open_subject
from yulan.evaluate.suite import load_suite
from yulan.evaluate.tasks import Model
from yulan.manifest import read

ONLY = ("--only", "arc-easy", "--only", "gsm8k")
pytestmark = pytest.mark.usefixtures("own_environment")


def test_every_task_is_told_of_and_says_why_it_was_not_run(made: tuple[Path, Evaluated]):
    _, found = made
    assert set(found.tasks) == set(load_suite("report").tasks)
    assert set(found.run) == {"arc-easy", "gsm8k", "humaneval", "mbpp"}
    for name, task in found.tasks.items():
        figures = {task.value, task.stderr, task.items, task.data, task.prompts, task.log}
        assert (task.reason is None) == (name in found.run)
        assert (None in figures) == (name not in found.run)
        assert task.published == load_suite("report").tasks[name].published
    assert found.tasks["mmlu"].reason == "no data: cais/mmlu is not in the data folder, and no hub was named"
    assert found.tasks["arc-challenge"].reason == "allenai/ai2_arc cannot be loaded (ValueError)"
    assert found.tasks["ruler"].reason == f"makes texts of 16,384 tokens, and the context holds {CONTEXT}"
    assert (found.tasks["math-500"].reason or "").startswith("needs packages that are not installed: `sympy`, `math_verify`")


def test_a_result_says_what_was_asked_of_what_by_what(made: tuple[Path, Evaluated], ground: Ground):
    folder, found = made
    assert found.subject.digest == read(ground.checkpoint / "manifest.json").digest
    assert (found.subject.kind, found.subject.phase, found.subject.context) == ("checkpoint", "phase-01", CONTEXT)
    assert found.subject.global_step == int(ground.checkpoint.name.removeprefix("step-"))
    assert found.harness.version == "0.4.13"
    assert found.suite.sha256 == load_suite("report").digest
    told = (folder / NAME).read_text(encoding="utf-8")
    assert str(ground.data) not in told
    assert str(ground.checkpoint) not in told


def test_the_log_has_a_row_an_item_and_no_text_of_the_data(made: tuple[Path, Evaluated]):
    folder, found = made
    rows = dict(read_samples(folder, found))
    assert [row["item"] for row in rows["arc-easy"]] == list(range(6))
    assert all(len(row["prompt"]) == len(row["data"]) == 64 for row in rows["arc-easy"])
    text = (folder / SAMPLES / "arc-easy.jsonl").read_text(encoding="utf-8")
    assert "What is" not in text
    assert found.tasks["arc-easy"].value == sum(row["score"] for row in rows["arc-easy"]) / 6


def test_the_standard_error_of_one_task_is_the_harness_own(made: tuple[Path, Evaluated]):
    folder, found = made
    scores = [row["score"] for row in dict(read_samples(folder, found))["arc-easy"]]
    assert found.tasks["arc-easy"].stderr == pytest.approx(mean_stderr(scores))


def test_the_standard_error_of_a_group_is_that_of_a_stratified_mean():
    draw = np.random.default_rng(3)
    shares, sizes = (0.2, 0.9), (30, 60)
    hits = [draw.random(size) < share for share, size in zip(shares, sizes, strict=True)]
    rows = [{"task": t, "score": float(hit)} for t, some in enumerate(hits) for hit in some]
    scores = [np.array([row["score"] for row in rows if row["task"] == t]) for t in (0, 1)]
    by_hand = sum((len(s) / 90) ** 2 * s.var(ddof=1) / len(s) for s in scores) ** 0.5
    assert standard_error(rows) == pytest.approx(by_hand)
    assert standard_error([*rows, {"task": 2, "score": 1.0}]) is None


def test_equal_questions_get_equal_bytes(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    _, found = made
    again = asked(ground, tmp_path / "again", *ONLY)
    for name in ("arc-easy", "gsm8k"):
        assert again.tasks[name] == found.tasks[name]


def test_a_checkpoint_and_its_released_forms_answer_alike(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    folder, found = made
    likely = {row["item"]: row["output"] for row in dict(read_samples(folder, found))["arc-easy"]}
    for kind, subject in (("yulanmini", ground.mini), ("llama", ground.llama)):
        other = asked(ground, tmp_path / kind, *ONLY, subject=subject)
        assert other.subject.kind == kind
        assert other.tasks["arc-easy"].value == found.tasks["arc-easy"].value
        for row in dict(read_samples(tmp_path / kind, other))["arc-easy"]:
            np.testing.assert_allclose([x for x, _ in row["output"]], [x for x, _ in likely[row["item"]]], rtol=1e-3)


def test_the_harness_own_engine_and_the_stages_agree(ground: Ground):
    task = load_suite("report").tasks["arc-easy"]
    settings = ground.book.recipe.data.tokenizer
    codec = tokenizer.load(ground.words, settings, begin_with_bos=False)
    phase = ground.book.recipe.phase("phase-01")
    decoder = load_decoder(ground.checkpoint, ground.book.recipe.model, "cpu")
    stage = Model(Runner(decoder=decoder, context=phase.context, rope_theta=phase.rope_theta), codec)
    found = []
    for lm in (stage, engine(open_subject(ground.checkpoint, None, "cpu", "fp32"), 4)):
        ready = make_ready(
            "arc-easy", task, Data(folder=ground.data, hub=False, cache=ground.cache), ground.words, CONTEXT, print
        )
        assert isinstance(ready, Asked)
        assert isinstance(lm, LM)
        found.append([x for row in put(lm, ready, "acc", "none", None).rows for x, _ in row["output"]])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_a_pulled_states_folder_brings_its_tokenizer(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    _, found = made
    shutil.copytree(ground.checkpoint, tmp_path / "states" / "checkpoint")
    with pytest.raises(StateError, match=r"holds no tokenizer\.json\. Name the folder of its tokenizer: --tokenizer"):
        asked(ground, tmp_path / "none", subject=tmp_path / "states")
    shutil.copytree(ground.words, tmp_path / "states" / "tokenizer")
    other = asked(ground, tmp_path / "out", "--only", "arc-easy", subject=tmp_path / "states")
    assert other.subject == found.subject
    assert other.tasks["arc-easy"] == found.tasks["arc-easy"]


def test_several_checkpoints_make_a_curve(ground: Ground, tmp_path: Path):
    later = write_trained(ground.layout, ground.book, "phase-02", 2)
    told = ["--suite", "report", "--data", ground.data, "--only", "arc-easy", "--into", tmp_path / "out"]
    with pytest.raises(SystemExit) as end:
        typed(later, ground.checkpoint, *told)
    assert end.value.code == 0
    rows = (tmp_path / "out" / "curve.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "phase,global_step,tokens,digest,task,metric,value,stderr,items"
    assert [row.split(",")[0] for row in rows[1:]] == ["phase-01", "phase-02"]
    assert len(list((tmp_path / "out").glob("*/evaluated.json"))) == 2
    shutil.rmtree(ground.layout.stage("train", "phase-02").folder)
