"""Which stretch is replayed, drawn from a word that the publisher could not know when the log was published."""

from dataclasses import dataclass
from pathlib import Path

from yulan import digest
from yulan.layout import Layout
from yulan.recipe import Recipe
from yulan.train.checkpoint.scan import require_whole
from yulan.train.checkpoint.state import begins, read_state
from yulan.train.replay.segment import Segment, before, cut, kept, log_of, rows_between


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """A draw that anyone can repeat."""

    nonce: str
    chain: str
    """Of the log's last row: it was fixed before the nonce was known."""
    draw: str
    """sha256 of {"chain":CHAIN,"nonce":NONCE}."""
    first: int
    """First step that can be drawn."""
    last: int
    step: int
    """The drawn one: first + draw mod (last - first + 1). The kept checkpoints around it bound the stretch."""


def draw_step(chain: str, nonce: str, first: int, last: int) -> Challenge:
    """Each step from `first` to `last` is as likely as any other."""
    draw = digest.of_json({"chain": chain, "nonce": nonce})
    step = first + int(draw, 16) % (last - first + 1)
    return Challenge(nonce=nonce, chain=chain, draw=draw, first=first, last=last, step=step)


def challenged(folder: Path, layout: Layout, recipe: Recipe, nonce: str, steps: int | None) -> tuple[Segment, Challenge]:
    """The stretch of a phase that a nonce asks for.

    Raises: IntegrityError: the log of the whole phase does not lead to its last checkpoint; StateError: none is kept.
    """
    there = kept(folder)
    knots = there if begins(read_state(there[0])) else (before(there[0], layout, recipe), *there)
    for each in (knots[0], knots[-1]):
        require_whole(each)
    first, last = read_state(knots[0]), read_state(knots[-1])
    rows = rows_between(log_of(knots[-1]), first, last)
    found = draw_step(rows[-1]["chain"], nonce, first.global_step + 1, last.global_step)
    steps_at = [read_state(each).global_step for each in knots]
    index = next(index for index, at in enumerate(steps_at) if at >= found.step)
    gap = steps_at[index] - steps_at[index - 1]
    return cut(knots[index - 1], knots[index], None if steps is None else min(steps, gap)), found
