"""The `yulan` command. Each verb is one file; it is imported when it is typed, so that help is instant."""

import difflib
import importlib
from typing import Any

import click

from yulan import __version__
from yulan.errors import told

INTERRUPTED = 130
"""Exit code, as a shell's."""
VERBS = {
    "adopt": ("adopt", "Write down what others published as ours is: manifests, checkpoints.csv, findings."),
    "allow-spend": ("allow_spend", "Allow training above the recipe's GPU-hour limit."),
    "audit": ("audit", "Say what is wrong with a repository on a hub, ours or not."),
    "checkpoint": ("checkpoint", "List, verify, compare, import and export checkpoints."),
    "continue": ("continue_", "Train on from a checkpoint folder."),
    "data": ("data", "Ask what a model was trained on, and when; fetch what others published; remove a document."),
    "erratum": ("erratum", "Add a dated correction to a published card."),
    "evaluate": ("evaluate", "Ask a model the tasks of a suite, or compare two that were asked."),
    "gc": ("gc", "Sweep the working folders of finished training runs."),
    "hub": ("hub", "Serve the local rehearsal hub."),
    "key": ("key", "Make a key that releases are signed with."),
    "lineage": ("lineage", "Say what something was made from, and what was made from it."),
    "lint": ("lint", "Say what is wrong or odd in a recipe's mixes."),
    "plan": ("plan", "Say what a recipe costs: tokens, steps, FLOPs, memory, disk, time."),
    "publish": ("publish", "Publish a judged bundle to a hub."),
    "pull": ("pull", "Fetch a revision of a release and verify every byte."),
    "replay": ("replay", "Train a published stretch again: EXACT, CLOSE or DIFFERENT."),
    "reproduce": ("reproduce", "Train or build a release again, and sign a report of what came out equal."),
    "restore": ("restore", "Put this clone into the state of a release: commit, outputs, runs."),
    "show": ("show", "Print a recipe, profile or phase."),
    "study": ("study", "Ask a question of training: many small runs, many seeds."),
    "track": ("track", "Look at training runs, or rebuild their store."),
    "use": ("use", "Choose the recipe and profile that dvc works on."),
    "verify": ("verify", "Check every byte of a folder against its manifest and signature."),
    "withdraw": ("withdraw", "Say of a published revision that it should not be used, and why."),
}


class Verbs(click.Group):
    """Loads a verb's module when it is asked for; shows errors as one line with their exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"yulan.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, VERBS[cmd_name][0])
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(error.format_message() + hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, not from the modules: help must not import what it only names.
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb][1]) for verb in sorted(VERBS)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # click by itself ends with 1.
            ctx.exit(INTERRUPTED)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with told():
            return super().main(*args, **kwargs)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="yulan")
def main() -> None:
    """Rebuild, continue, publish and audit a fully open language model."""
