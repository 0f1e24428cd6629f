"""Results as lines of a table, and several of them as a curve."""

import csv
import io
from collections.abc import Iterator, Sequence

from yulan.evaluate.compare import Compared
from yulan.evaluate.criteria import Judged
from yulan.evaluate.evaluated import Evaluated, TaskResult

CURVE = "curve.csv"
COLUMNS = ("phase", "global_step", "tokens", "digest", "task", "metric", "value", "stderr", "items")


def lines(made: Evaluated) -> Iterator[str]:
    """One a task, those that were not run with the reason; the published figures beside."""
    width = max((len(name) for name in made.tasks), default=0)
    for name, task in made.tasks.items():
        if task.value is None:
            yield f"{name:{width}}  not run: {task.reason}{_published(task)}"
        else:
            error = "" if task.stderr is None else f" ± {task.stderr:.4f}"
            shots = "" if task.shots is None else f", {task.shots} shots"
            yield f"{name:{width}}  {task.value:.4f}{error}  {task.metric}, {task.items} items{shots}{_published(task)}"


def _published(task: TaskResult) -> str:
    """The first of the published figures; all are in evaluated.json."""
    return "".join(f"; published {value:.2f} % of {model}" for model, value in list(task.published.items())[:1])


def judged_lines(judged: Judged) -> Iterator[str]:
    for row in judged.rows:
        value = "" if row.value is None else f" ({row.value:.4f})"
        yield f"{row.verdict:8} {row.task} {row.metric} {row.direction} {row.threshold}{value}"
    brought = f"by commit {judged.commit[:12]} of {judged.committed}" if judged.commit else "by no commit"
    order = "before" if judged.before else "not before"
    yield f"criteria {judged.criteria[:16]}, {brought}, {order} asking began at {judged.started}; result {judged.evaluated[:16]}"


def compared_lines(made: Compared) -> Iterator[str]:
    width = max((len(name) for name in made.tasks), default=0)
    for name, task in made.tasks.items():
        if task.difference is None:
            yield f"{name:{width}}  not compared: {task.reason}"
        else:
            bounds = f"{task.difference:+.4f} [{task.low:+.4f}, {task.high:+.4f}]"
            yield f"{name:{width}}  {task.a:.4f} -> {task.b:.4f}  {bounds}  {task.verdict}"


def curve(results: Sequence[Evaluated]) -> str:
    """CSV, a row for each task of each checkpoint that was run, by step."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for made in sorted(results, key=lambda each: (each.subject.global_step or 0, each.subject.name)):
        about = made.subject
        for name, task in made.run.items():
            told = (name, task.metric, task.value, task.stderr, task.items)
            writer.writerow((about.phase, about.global_step, about.tokens, about.digest, *told))
    return out.getvalue()
