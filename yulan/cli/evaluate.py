"""`yulan evaluate FOLDER --suite NAME`, and `yulan evaluate --compare A B`."""

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from yulan.evaluate.ask import Plan
    from yulan.evaluate.evaluated import Evaluated
    from yulan.evaluate.subject import Opened

UNMET = 10
"""Exit code where criteria are not met: a verdict, no error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What was typed."""

    suite: str
    data: Path | None
    endpoint: str | None
    tokenizer: Path | None
    only: tuple[str, ...]
    limit: int | None
    criteria: Path | None
    statement: bool
    device: str
    precision: Literal["fp32", "bf16"]
    batch: int
    threads: int | None


@click.command()
@click.argument("folders", nargs=-1, metavar="FOLDER...", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--suite", help="report, or a recipe of the clone: what it asks of its own phases.")
@click.option("--compare", is_flag=True, help="Compare two folders that this command made.")
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Holds data sets as OWNER/NAME.")
@click.option("--from", "endpoint", metavar="URL", help="Fetch data sets that are not in --data from this hub.")
@click.option("--tokenizer", type=click.Path(exists=True, file_okay=False, path_type=Path), help="If FOLDER has none.")
@click.option("--only", multiple=True, metavar="TASK", help="Ask this task of the suite; may be given again.")
@click.option("--limit", type=click.IntRange(min=1), help="Ask the first N items of each task; it goes on the record.")
@click.option(
    "--criteria",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is to be reached; else exit code 10.",
)
@click.option("--statement", is_flag=True, help="Write the verdict on the criteria as an in-toto Test Result too.")
@click.option("--into", type=click.Path(path_type=Path), help="Folder to make; without it evaluated-SUITE here.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Requests in a forward pass.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the processor; without it torch's own choice.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(
    folders: tuple[Path, ...], suite: str | None, compare: bool, into: Path | None, as_json: bool, **rest: object
) -> None:
    """Ask a checkpoint or a released model the tasks of a suite; of several FOLDERs make a curve.

    Every task is told of: one that cannot be asked here is `not run`, with the reason. Nothing is fetched without --from.
    """
    if compare:
        if len(folders) != 2:
            raise click.UsageError("--compare takes two folders that `yulan evaluate` made.")
        return _compare(folders[0], folders[1], as_json)
    if not folders or suite is None:
        raise click.UsageError("Give a FOLDER and --suite, or --compare and two folders.")
    wish = Wish(suite=suite, **rest)  # type: ignore[arg-type]
    if wish.statement and wish.criteria is None:
        raise click.UsageError("--statement needs --criteria: it says whether they were met.")
    if wish.limit and wish.criteria:
        raise click.UsageError("--criteria are judged on all items: leave out --limit.")
    met = _ask(folders, into or Path(f"evaluated-{suite}"), wish, as_json)
    sys.exit(0 if met else UNMET)


def _compare(one: Path, other: Path, as_json: bool) -> None:
    from yulan.evaluate.compare import compare
    from yulan.evaluate.table import compared_lines
    from yulan.schema import plain

    made = compare(one, other)
    if as_json:
        click.echo(json.dumps(plain(made), indent=1))
    else:
        for line in compared_lines(made):
            click.echo(line)


def _ask(folders: tuple[Path, ...], into: Path, wish: Wish, as_json: bool) -> bool:
    """Whether the criteria were met, by every folder."""
    from yulan import files
    from yulan.errors import StateError
    from yulan.evaluate.evaluated import Evaluated
    from yulan.evaluate.table import CURVE, curve, lines
    from yulan.schema import plain

    if into.exists():
        raise StateError("is already there", where=into, cure="Name another folder: --into")
    _environment(wish.endpoint)
    met = True
    results: list[Evaluated] = []
    with TemporaryDirectory(prefix="yulan-evaluate-") as cache:
        for folder in folders:
            made, place, passed = _one(folder, into if len(folders) == 1 else None, into, Path(cache), wish)
            met, results = met and passed, [*results, made]
            if not as_json:
                click.echo(f"{place}: {made.subject.name}, suite {made.suite.name}, {made.harness.name} {made.harness.version}")
                for line in lines(made):
                    click.echo(f"  {line}")
    if len(folders) > 1:
        files.write_text(into / CURVE, curve(results))
    if as_json:
        click.echo(json.dumps([plain(each) for each in results], indent=1, ensure_ascii=False))
    return met


def _environment(endpoint: str | None) -> None:
    """Read by libraries when they are imported: which hub, or none."""
    if endpoint:
        os.environ["HF_ENDPOINT"] = endpoint
    else:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_WAIT_POLICY": "passive"}


def _one(folder: Path, place: Path | None, into: Path, cache: Path, wish: Wish) -> "tuple[Evaluated, Path, bool]":
    import torch

    from yulan import files
    from yulan.evaluate.ask import Settings, run
    from yulan.evaluate.criteria import judge, read_criteria
    from yulan.evaluate.statement import STATEMENT, statement
    from yulan.evaluate.subject import CONFIG, open_subject
    from yulan.evaluate.table import judged_lines
    from yulan.layout import MANIFEST
    from yulan.release.verify import verify_folder

    if wish.threads:
        torch.set_num_threads(wish.threads)
    if (folder / CONFIG).is_file() and (folder / MANIFEST).is_file():
        verify_folder(folder)
    opened = open_subject(folder, wish.tokenizer, wish.device, wish.precision)
    plan = _plan(opened, wish, cache)
    _require_known(plan, wish.only)
    metrics = {name: entry.told.metric for name, entry in plan.entries.items()}
    criteria = read_criteria(wish.criteria, plan.suite.name, metrics) if wish.criteria else None
    place = place or into / opened.subject.digest[:16]
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    passed = True
    with files.new_folder(place) as filling:
        settings = Settings(batch=wish.batch, precision=wish.precision, limit=wish.limit)
        made = run(plan, opened, settings, filling, wish.only, lambda line: click.echo(line, err=True))
        if criteria and wish.criteria:
            judged = judge(criteria, wish.criteria, made, filling, started)
            passed = judged.passed
            for line in judged_lines(judged):
                click.echo(line, err=True)
            if wish.statement:
                files.write_json(filling / STATEMENT, statement(made, judged))
    return made, place, passed


def _plan(opened: "Opened", wish: Wish, cache: Path) -> "Plan":
    from yulan.errors import RecipeError, StateError
    from yulan.evaluate.ask import of_recipe, of_suite
    from yulan.evaluate.asked import Data
    from yulan.evaluate.suite import load_suite, suite_names
    from yulan.layout import Layout, find_root, recipe_names
    from yulan.recipe import load_recipe
    from yulan.schema import suggest

    if wish.suite in suite_names():
        data = Data(folder=wish.data, hub=wish.endpoint is not None, cache=cache)
        return of_suite(load_suite(wish.suite), opened, data, wish.limit, lambda line: click.echo(line, err=True))
    try:
        root = find_root()
    except StateError:
        root = None
    recipes = recipe_names(root) if root else []
    if root is None or wish.suite not in recipes:
        raise RecipeError(
            f"no suite named {wish.suite!r}", where="evaluate", cure=suggest(wish.suite, [*suite_names(), *recipes])
        )
    return of_recipe(load_recipe(root, wish.suite), Layout(root=root, recipe=wish.suite), opened, wish.limit)


def _require_known(plan: "Plan", only: tuple[str, ...]) -> None:
    from yulan.errors import RecipeError
    from yulan.schema import suggest

    for name in only:
        if name not in plan.entries:
            raise RecipeError(
                f"suite {plan.suite.name} has no task {name!r}", where="--only", cure=suggest(name, sorted(plan.entries))
            )
