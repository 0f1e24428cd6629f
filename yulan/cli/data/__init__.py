"""`yulan data`: what training saw, when, from where."""

import click

from yulan.cli.data.at import at
from yulan.cli.data.fetch import fetch
from yulan.cli.data.remove import remove
from yulan.cli.data.seen import seen
from yulan.cli.data.spans import spans
from yulan.cli.data.tokenizer import tokenizer


@click.group()
def data() -> None:
    """Ask what a model was trained on, and when; fetch published token files and tokenizers; remove a document."""


for command in (at, fetch, remove, seen, spans, tokenizer):
    data.add_command(command)
