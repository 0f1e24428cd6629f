"""Programs that a model wrote, judged in the sandbox: what lm-eval's code tasks get where they load `code_eval`.

The metric of that name runs programs in a process of this machine, with its network and its files.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import evaluate
import numpy as np

from yulan.data.sandbox import Limits, run_python

METRIC = "code_eval"
LIMITS = Limits(cpu=5, wall=10.0)
"""A task's tests take milliseconds; `code_eval` itself gives 3 s."""


class Sandboxed:
    """`code_eval` as the tasks call it."""

    def compute(
        self, references: Sequence[str], predictions: Sequence[Sequence[str]], k: Sequence[int] = (1, 10, 100), **_: Any
    ) -> tuple[dict[str, float], dict[int, list[str]]]:
        """pass@k over the problems, and how each program ended. A program passes if its test's last line is reached.

        Raises: StateError: this machine has no sandbox.
        """
        ended = {
            number: [run_python(f"{program}\n{test}", LIMITS).ended for program in programs]
            for number, (test, programs) in enumerate(zip(references, predictions, strict=True))
        }
        passed = [(len(each), each.count("done")) for each in ended.values()]
        fewest = min(of for of, _ in passed)
        ks = [each for each in k if each <= fewest]
        return {f"pass@{each}": float(np.mean([pass_at(of, hits, each) for of, hits in passed])) for each in ks}, ended


def pass_at(of: int, hits: int, k: int) -> float:
    """Chance that one of `k` programs passes, without bias, from `hits` among `of` >= k tried ones.

    Source: Chen et al. 2021 (arXiv 2107.03374), equation 1: 1 - C(n - c, k) / C(n, k), as a product that does not overflow.
    """
    if of - hits < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / number for number in range(of - hits + 1, of + 1))


@contextmanager
def in_sandbox() -> Iterator[None]:
    """Tasks of lm-eval that are made in this block judge programs in the sandbox; they ask for the metric when imported."""
    load = evaluate.load
    evaluate.load = lambda path, *words, **named: Sandboxed() if path == METRIC else load(path, *words, **named)
    try:
        yield
    finally:
        evaluate.load = load
