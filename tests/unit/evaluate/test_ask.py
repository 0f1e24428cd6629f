"""`yulan evaluate` on a checkpoint and its released forms, with data sets in a folder and on a hub."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click import UsageError
from lm_eval.api.metrics import mean_stderr
from lm_eval.api.model import LM

from tests.unit.evaluate.suite_kit import (
    ARC,
    CONTEXT,
    ROOT,
    small_book,
    write_data,
    write_data_set,
    write_released,
    write_tokenizer,
    write_trained,
)
from yulan import digest, files
from yulan.cli import main
from yulan.data import tokenizer
from yulan.errors import DataError, IntegrityError, RecipeError, StateError
from yulan.evaluate.answers import engine, put, standard_error
from yulan.evaluate.asked import Asked, Data, make_ready
from yulan.evaluate.evaluated import NAME, SAMPLES, Evaluated, read_evaluated, read_samples
from yulan.evaluate.runner import Runner, load_decoder
from yulan.evaluate.subject import open_subject
from yulan.evaluate.suite import load_suite
from yulan.evaluate.tasks import Model
from yulan.layout import Layout
from yulan.manifest import read
from yulan.recipe import Book
from yulan.rehearsal import running_hub

ONLY = ("--only", "arc-easy", "--only", "gsm8k")


@dataclass(frozen=True, kw_only=True)
class Ground:
    book: Book
    layout: Layout
    words: Path
    checkpoint: Path
    mini: Path
    llama: Path
    data: Path
    cache: Path

    @property
    def sets(self) -> Data:
        return Data(folder=self.data, hub=False, cache=self.cache)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    root = tmp_path_factory.mktemp("ground")
    book, layout = small_book(), Layout(root=root / "clone", recipe="nano")
    words = write_tokenizer(layout.stage("tokenizer").data)
    checkpoint = write_trained(layout, book, "phase-01", 1)
    return Ground(
        book=book,
        layout=layout,
        words=words,
        checkpoint=checkpoint,
        mini=write_released(checkpoint, book, "phase-01", words, root / "mini", final=False),
        llama=write_released(checkpoint, book, "phase-01", words, root / "llama", final=True),
        data=write_data(root / "data"),
        cache=root / "cache",
    )


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """The command tells libraries through the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def typed(*words: object) -> None:
    command = main.get_command(None, "evaluate")
    assert command is not None
    command.main([str(word) for word in words], standalone_mode=False)


def asked(ground: Ground, into: Path, *words: object, subject: Path | None = None) -> Evaluated:
    with pytest.raises(SystemExit) as end:
        typed(subject or ground.checkpoint, "--suite", "report", "--data", ground.data, "--into", into, *words)
    assert end.value.code == 0
    return read_evaluated(into)


@pytest.fixture(scope="module")
def made(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluated]:
    folder = tmp_path_factory.mktemp("made") / "out"
    return folder, asked(ground, folder)


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
    assert found.tasks["ruler"].reason is not None
    assert "wonderwords" in found.tasks["ruler"].reason


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


def test_another_row_of_data_is_another_digest(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    _, found = made
    changed = [dict(row) for row in ARC]
    changed[3]["question"] = "What is 3 and 4?"
    write_data_set(tmp_path / "data" / "allenai" / "ai2_arc", "ARC-Easy", {"train": ARC, "validation": ARC, "test": changed})
    other = asked(ground, tmp_path / "out", "--data", tmp_path / "data", "--only", "arc-easy")
    assert other.tasks["arc-easy"].prompt == found.tasks["arc-easy"].prompt
    assert other.tasks["arc-easy"].data != found.tasks["arc-easy"].data
    assert other.tasks["arc-easy"].prompts != found.tasks["arc-easy"].prompts


def test_a_limit_is_on_the_record_and_other_tasks_say_that_nobody_asked(ground: Ground, tmp_path: Path):
    found = asked(ground, tmp_path / "out", "--only", "arc-easy", "--limit", 2)
    assert (found.limit, found.tasks["arc-easy"].items) == (2, 2)
    assert found.tasks["gsm8k"].reason == "not asked for"


def test_answers_are_as_long_as_half_of_a_short_context(made: tuple[Path, Evaluated]):
    _, found = made
    assert found.tasks["gsm8k"].new_tokens == CONTEXT // 2
    assert found.tasks["arc-easy"].new_tokens is None


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


def test_what_cannot_be_asked_is_one_line(ground: Ground, tmp_path: Path):
    with pytest.raises(StateError, match="holds no checkpoint"):
        open_subject(tmp_path, None, "cpu", "fp32")
    (tmp_path / "model").mkdir()
    shutil.copy(ground.mini / "config.json", tmp_path / "model")
    shutil.copytree(ground.words, tmp_path / "model", dirs_exist_ok=True)
    with pytest.raises(DataError, match=r"cannot be loaded \(OSError\)\. Pull it again, or name another folder"):
        open_subject(tmp_path / "model", None, "cpu", "fp32")


def test_start_values_have_no_context(ground: Ground, tmp_path: Path):
    from yulan.train.checkpoint.initial import write_initial

    folder = write_initial(tmp_path, ground.book.recipe)
    with pytest.raises(DataError, match="belongs to no phase, so it has no context"):
        open_subject(folder, ground.words, "cpu", "fp32")


def test_a_damaged_checkpoint_is_not_asked(ground: Ground, tmp_path: Path):
    shutil.copytree(ground.checkpoint, tmp_path / ground.checkpoint.name)
    (weights,) = (tmp_path / ground.checkpoint.name).glob("weights-*")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="is not a whole checkpoint"):
        asked(ground, tmp_path / "out", subject=weights.parent)


def test_words_that_make_no_sense_are_told(ground: Ground, made: tuple[Path, Evaluated], tmp_path: Path):
    folder, _ = made
    with pytest.raises(UsageError, match=r"Give a FOLDER and --suite, or --compare and two folders"):
        typed()
    with pytest.raises(UsageError, match="--compare takes two folders that `yulan evaluate` made"):
        typed("--compare", folder)
    with pytest.raises(UsageError, match="--statement needs --criteria: it says whether they were met"):
        typed(ground.checkpoint, "--suite", "report", "--statement")
    with pytest.raises(StateError, match=r"is already there\. Name another folder: --into"):
        typed(ground.checkpoint, "--suite", "report", "--into", folder)
    with pytest.raises(RecipeError, match=r"no suite named 'reports'\. Did you mean 'report'\?"):
        typed(ground.checkpoint, "--suite", "reports", "--into", tmp_path / "x")
    with pytest.raises(RecipeError, match=r"--only: suite report has no task 'arc-hard'"):
        typed(ground.checkpoint, "--suite", "report", "--only", "arc-hard", "--into", tmp_path / "x")


def test_a_suite_that_names_no_metric_or_filter_of_its_task_is_told(ground: Ground):
    task = load_suite("report").tasks["arc-easy"]
    opened = open_subject(ground.checkpoint, None, "cpu", "fp32")
    for metric, filtered, message in (
        ("acc", "strict", "no answer has passed a filter 'strict'"),
        ("bleu", "none", "an answer has no metric 'bleu'"),
    ):
        ready = make_ready(
            "arc-easy", task, Data(folder=ground.data, hub=False, cache=ground.cache), ground.words, CONTEXT, print
        )
        assert isinstance(ready, Asked)
        with pytest.raises(DataError, match=message):
            put(engine(opened, 4), ready, metric, filtered, 2)


def test_a_tokenizer_that_brings_code_is_not_run_for_tasks_that_make_their_text(ground: Ground, tmp_path: Path):
    shutil.copytree(ground.words, tmp_path / "words")
    config = json.loads((tmp_path / "words" / "tokenizer_config.json").read_text(encoding="utf-8"))
    files.write_json(tmp_path / "words" / "tokenizer_config.json", config | {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
    task = load_suite("report").tasks["ruler"]
    reason = make_ready("ruler", task, Data(folder=None, hub=False, cache=ground.cache), tmp_path / "words", CONTEXT, print)
    assert reason == "lm-eval would run the code that the tokenizer brings along"


@pytest.mark.slow
def test_data_sets_come_from_a_hub_where_one_is_named(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    """A task of the report, unchanged, on a data set of its schema that a hub serves under its id."""
    from huggingface_hub import HfApi

    _, found = made
    with running_hub(tmp_path / "hub") as served:
        api = HfApi(endpoint=served.url, token=served.token)
        for name in ("allenai/ai2_arc", "openai/gsm8k"):
            api.create_repo(name, repo_type="dataset")
            api.upload_folder(repo_id=name, repo_type="dataset", folder_path=ground.data / name)
        words = [sys.executable, "-m", "yulan.cli", "evaluate", ground.checkpoint, "--suite", "report", "--from", served.url]
        words += ["--into", tmp_path / "out", *ONLY, "--only", "hellaswag"]
        kept = {key: value for key, value in os.environ.items() if not key.endswith("_OFFLINE")}
        env = {**kept, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run([str(w) for w in words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    other = read_evaluated(tmp_path / "out")
    for name in ("arc-easy", "gsm8k"):
        assert (other.tasks[name].data, other.tasks[name].prompts) == (found.tasks[name].data, found.tasks[name].prompts)
        assert other.tasks[name].value == found.tasks[name].value
    assert other.tasks["hellaswag"].reason == "Rowan/hellaswag cannot be loaded (DatasetNotFoundError)"
    assert digest.of_file(tmp_path / "out" / SAMPLES / "arc-easy.jsonl") == other.tasks["arc-easy"].log
