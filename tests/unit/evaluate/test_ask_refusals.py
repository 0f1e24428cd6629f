"""What `yulan evaluate` does not ask, each in one line."""

import json
import shutil
from pathlib import Path

import pytest
from click import UsageError

from tests.unit.evaluate.suite_kit import CONTEXT, Ground, asked, typed
from yulan import files
from yulan.errors import DataError, IntegrityError, RecipeError, ResourceError, StateError
from yulan.evaluate.answers import engine, put
from yulan.evaluate.asked import Asked, Data, make_ready
from yulan.evaluate.evaluated import Evaluated
from yulan.evaluate.subject import open_subject
from yulan.evaluate.suite import load_suite
from yulan.release.seal import seal

ONLY = ("--only", "arc-easy", "--only", "gsm8k")
pytestmark = pytest.mark.usefixtures("own_environment")


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
    some = files.write_json(tmp_path / "c.json", {})
    with pytest.raises(UsageError, match="--criteria are judged on all items: leave out --limit"):
        typed(ground.checkpoint, "--suite", "report", "--criteria", some, "--limit", 5)
    for device in ("cuda:99", "tpu", "cpu:x"):
        with pytest.raises(ResourceError, match=rf"--device: torch \S+ finds no device '{device}'\. Use cpu, or install"):
            open_subject(ground.checkpoint, None, device, "fp32")
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
    reason = make_ready("ruler", task, Data(folder=None, hub=False, cache=ground.cache), tmp_path / "words", 40_000, print)
    assert reason == "lm-eval would run the code that the tokenizer brings along"


def test_a_pulled_model_is_called_as_its_manifest_says_and_a_damaged_one_is_not_asked(ground: Ground, tmp_path: Path):
    model = shutil.copytree(ground.mini, tmp_path / "model")
    told = {"phase": "phase-01", "step": 102, "tokens": 102_000}
    sealed = seal(model, name="nano/model/phase-01-step-000102", inputs={}, keys={}, summary=told)
    found = asked(ground, tmp_path / "out", "--only", "arc-easy", subject=model).subject
    assert (found.name, found.kind, found.digest) == (sealed.name, "yulanmini", sealed.digest)
    assert (found.phase, found.global_step, found.tokens) == ("phase-01", 102, 102_000)
    (weights,) = model.glob("*.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        asked(ground, tmp_path / "again", subject=model)


def test_a_strangers_model_is_known_by_its_files(ground: Ground, tmp_path: Path):
    model = shutil.copytree(ground.llama, tmp_path / "model")
    first = open_subject(model, None, "cpu", "fp32").subject
    assert (first.name, first.global_step) == ("llama", None)
    left = model / ".cache" / "huggingface" / "download"
    left.mkdir(parents=True)
    (left / "config.json.metadata").write_text("what a download leaves")
    assert open_subject(model, None, "cpu", "fp32").subject.digest == first.digest
    (model / "generation_config.json").write_text("{}")
    assert open_subject(model, None, "cpu", "fp32").subject.digest != first.digest
