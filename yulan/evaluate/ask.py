"""Ask a model a suite: a shipped one, or what a recipe asks of its own phases. Every task is told of, also those not run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import torch
from lm_eval.api.model import LM

from yulan import digest
from yulan.data.benchmarks import items
from yulan.errors import YulanError
from yulan.evaluate import text
from yulan.evaluate.answers import Answered, engine, put
from yulan.evaluate.asked import Asked, Data, Say, make_ready, rows_digest
from yulan.evaluate.evaluated import Evaluated, Machine, SuiteName, TaskResult, write_evaluated, write_samples
from yulan.evaluate.subject import WORDS, Opened, Precision
from yulan.evaluate.suite import Harness, Suite
from yulan.evaluate.tasks import METRIC, TEMPLATE, make_task
from yulan.isa import isa
from yulan.layout import Layout
from yulan.recipe import Book
from yulan.schema import plain

HARNESS = "lm-eval"
PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "lm-eval")
NOT_RUN = TaskResult(
    state="not run",
    reason=None,
    title="",
    harness_task=None,
    datasets=(),
    data=None,
    prompt=None,
    prompts=None,
    shots=None,
    new_tokens=None,
    metric=METRIC,
    higher_is_better=True,
    value=None,
    stderr=None,
    items=None,
    log=None,
    published={},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One task of a suite."""

    told: TaskResult
    """As it is told of where it was not run."""
    ask: Callable[[LM], Answered | str]
    """Its answers, or the reason why there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    batch: int
    """Requests in a forward pass."""
    precision: Precision
    limit: int | None
    """Most items of each task; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is asked."""

    suite: SuiteName
    entries: Mapping[str, Entry]


def of_suite(suite: Suite, opened: Opened, data: Data, limit: int | None, say: Say) -> Plan:
    """A shipped suite."""
    entries = {}
    for name, task in suite.tasks.items():
        told = replace(
            NOT_RUN,
            title=task.title,
            harness_task=task.task,
            datasets=task.datasets,
            prompt=task.prompt,
            shots=task.shots,
            metric=task.metric,
            published=task.published,
        )

        def ask(lm: LM, name: str = name) -> Answered | str:
            task = suite.tasks[name]
            ready = make_ready(name, task, data, opened.words, opened.subject.context, say)
            return ready if isinstance(ready, str) else put(lm, ready, task.metric, task.filter, limit)

        entries[name] = Entry(told=told, ask=ask)
    return Plan(suite=SuiteName(name=suite.name, sha256=suite.digest), entries=entries)


def of_recipe(book: Book, layout: Layout, opened: Opened, limit: int | None) -> Plan:
    """What a recipe asks after its phases: benchmarks out of its sources, and bits per byte of each family's held-out text."""
    settings, entries = book.recipe.evaluate, {}
    for name, task in settings.tasks.items():
        told = replace(NOT_RUN, title=name, harness_task=name, prompt=digest.of_json([TEMPLATE, task.shots]), shots=task.shots)

        def ask(lm: LM, name: str = name) -> Answered | str:
            task = settings.tasks[name]
            benchmark = book.sources.benchmarks[task.benchmark]
            try:
                some = list(items(layout.stage("sources").data, benchmark))
                made = make_task(name, task, some)
            except YulanError as error:
                return error.what
            rows = [plain(item) for item in some[: task.limit + task.shots]]
            return put(lm, Asked(tasks={name: made}, data=rows_digest(rows), new_tokens=None), METRIC, "none", limit)

        entries[name] = Entry(told=told, ask=ask)
    families: dict[str, list[str]] = {}
    for source, about in sorted(book.sources.sources.items()):
        families.setdefault(about.family, []).append(source)
    for family, sources in families.items():

        def measure(_: LM, sources: list[str] = sources) -> Answered | str:
            place, own = layout.stage("shards"), layout.stage("tokenizer").data / WORDS
            if not (place.data.is_dir() and own.is_file()):
                return "no shards are here: dvc pull shards tokenizer"
            if digest.of_file(own) != digest.of_file(opened.words / WORDS):
                return "its tokenizer is not the one that the shards were made with"
            return text.measure(opened, place.data, sources, settings.held_out_tokens, limit)

        told = replace(NOT_RUN, title=f"held-out text: {family}", metric=text.METRIC, higher_is_better=False)
        entries[f"text-{family}"] = Entry(told=told, ask=measure)
    return Plan(suite=SuiteName(name=book.recipe.name, sha256=digest.of_json(plain(settings))), entries=entries)


def run(plan: Plan, opened: Opened, settings: Settings, into: Path, only: tuple[str, ...], say: Say) -> Evaluated:
    """Ask all tasks, or those named in `only`, and write evaluated.json and samples/ below `into`.

    Raises: StateError: the installed lm-eval asks otherwise than the suite says.
    """
    lm, results = engine(opened, settings.batch), {}
    for name, entry in plan.entries.items():
        found: Answered | str = "not asked for" if only and name not in only else entry.ask(lm)
        if isinstance(found, str):
            results[name] = replace(entry.told, reason=found)
            continue
        log = write_samples(into, name, found.rows)
        results[name] = replace(
            entry.told,
            state="run",
            data=found.data,
            prompts=found.prompts,
            new_tokens=found.new_tokens,
            higher_is_better=found.higher_is_better,
            value=found.value,
            stderr=found.stderr,
            items=len(found.rows),
            log=log,
        )
        say(f"{name}: {found.value:.4f} {entry.told.metric}, {len(found.rows)} items")
    made = Evaluated(
        format=1,
        suite=plan.suite,
        harness=Harness(name=HARNESS, version=metadata.version(HARNESS)),
        subject=opened.subject,
        packages={name: metadata.version(name) for name in PACKAGES},
        machine=Machine(
            isa=torch.cuda.get_device_name() if opened.model.device.type == "cuda" else isa(),
            threads=torch.get_num_threads(),
            precision=settings.precision,
            batch=settings.batch,
        ),
        limit=settings.limit,
        tasks=results,
    )
    write_evaluated(into, made)
    return made
