"""Programs that a model wrote: lm-eval's own HumanEval and MBPP, judged in the sandbox."""

import itertools
import socket
import sys
from pathlib import Path
from typing import Any

import evaluate as metrics
import pytest
from lm_eval.api.model import LM

from tests.unit.evaluate.suite_kit import HUMANEVAL, MBPP, write_data
from yulan.data import sandbox
from yulan.evaluate.answers import Answered, put
from yulan.evaluate.asked import Asked, Data, make_ready
from yulan.evaluate.code import METRIC, Sandboxed, in_sandbox, pass_at
from yulan.evaluate.suite import load_suite

HERE = pytest.mark.skipif(sandbox.why_not() is not None, reason=f"no sandbox here: {sandbox.why_not()}")
SPIN = "    while True:\n        pass\n"
FORK = "    import os\n    while True:\n        os.fork()\n"
LEAVE = "    import os\n    os._exit(0)\n"
RAISE = "    raise SystemExit(0)\n"


class Says(LM):
    """Says what it was given to say, in the order of the items."""

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self.texts = texts

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return list(self.texts)

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise AssertionError("a code task asks for no likelihood")

    loglikelihood_rolling = loglikelihood


def ready(name: str, folder: Path) -> Asked:
    found = make_ready(
        name, load_suite("report").tasks[name], Data(folder=folder, hub=False, cache=folder.parent / "cache"), folder, 4096, print
    )
    assert isinstance(found, Asked), found
    return found


def answers(name: str, folder: Path, *texts: str) -> Answered:
    task = load_suite("report").tasks[name]
    return put(Says(*texts), ready(name, folder), task.metric, task.filter, None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@HERE
def test_right_completions_of_humaneval_pass_and_what_wants_out_fails(data: Path):
    outside = data.parent / "written-from-inside"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        call = f"    import socket\n    socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)\n    return x + 1\n"
        write = f"    open({str(outside)!r}, 'w').write('x')\n    return x + 2\n"
        right = [each["canonical_solution"] for each in HUMANEVAL]
        found = answers("humaneval", data, right[0], call, write, LEAVE, right[4])
        with pytest.raises(TimeoutError):
            server.accept()
    assert [row["score"] for row in found.rows] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert found.value == pytest.approx(0.4)
    assert found.stderr == pytest.approx((0.4 * 0.6 * 5 / 4 / 5) ** 0.5)
    assert not outside.exists()


@HERE
@pytest.mark.slow
def test_programs_that_never_end_or_fork_are_ended_and_count_as_failed(data: Path):
    solution = HUMANEVAL[3]["canonical_solution"]
    found = answers("humaneval", data, SPIN, FORK, RAISE, solution, "    return x +\n")
    assert [row["score"] for row in found.rows] == [0.0, 0.0, 0.0, 1.0, 0.0]


@HERE
def test_mbpp_runs_all_three_tests_of_a_problem(data: Path):
    half = "def add2(x):\n    return 2 if x == 0 else -1"
    found = answers("mbpp", data, MBPP[0]["code"], MBPP[1]["code"], half, "import sys\nsys.exit(0)")
    assert [row["score"] for row in found.rows] == [1.0, 1.0, 0.0, 0.0]


@HERE
def test_no_program_is_run_by_the_metric_that_has_no_walls(data: Path):
    before = metrics.load
    ready("humaneval", data)
    ready("mbpp", data)
    assert metrics.load is before
    assert not [name for name in sys.modules if name.startswith("evaluate_modules")]
    for name in ("humaneval", "mbpp"):
        module = sys.modules[f"lm_eval.tasks.{name}.utils"]
        assert isinstance(getattr(module, {"humaneval": "compute_", "mbpp": "pass_at_k"}[name]), Sandboxed)


def test_other_metrics_are_loaded_as_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "load", lambda path: f"the real {path}")
    with in_sandbox():
        assert metrics.load("exact_match") == "the real exact_match"
        assert isinstance(metrics.load(METRIC), Sandboxed)
    assert metrics.load(METRIC) == f"the real {METRIC}"


def test_without_a_sandbox_a_code_task_is_not_run(data: Path, monkeypatch: pytest.MonkeyPatch):
    ready("humaneval", data)
    monkeypatch.setattr("yulan.evaluate.asked.why_not", lambda: "unshare: Operation not permitted")
    task = load_suite("report").tasks["humaneval"]
    reason = make_ready("humaneval", task, Data(folder=data, hub=False, cache=data.parent / "cache"), data, 4096, print)
    assert reason == "its answers are programs, and there is no sandbox here: unshare: Operation not permitted"


@pytest.mark.parametrize(("of", "hits"), [(5, 0), (5, 1), (5, 3), (6, 6), (7, 2)])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_pass_at_k_is_the_share_of_all_draws_with_a_hit(of: int, hits: int, k: int):
    draws = list(itertools.combinations([True] * hits + [False] * (of - hits), k))
    assert pass_at(of, hits, k) == pytest.approx(sum(any(draw) for draw in draws) / len(draws))


def test_pass_at_k_does_not_overflow():
    assert pass_at(100_000, 1, 100) == pytest.approx(0.001)
    assert pass_at(200, 20, 100) == pytest.approx(1.0, abs=1e-6)


@HERE
def test_several_answers_to_one_problem_give_pass_at_k():
    scores, ended = Sandboxed().compute(["assert a == 1"], [["a = 1", "a = 2", "a = 1", "a ="]], k=[1, 2, 10])
    assert scores == {"pass@1": pytest.approx(0.5), "pass@2": pytest.approx(5 / 6)}
    assert ended == {0: ["done", "failed", "done", "failed"]}
