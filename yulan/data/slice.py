"""A stated part of a phase's published token files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from yulan.errors import RecipeError
from yulan.mix import Group, Mix

RULE = "of each source with n listed files the first ceil(fraction x n), in the order of the list"
"""So a larger slice holds every smaller one, and a slice is whole files: one file cannot be fetched in part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What a slice takes of one source."""

    source: str
    quota: int
    """Tokens wanted: the source's part of the slice, as large as its part of the phase."""
    listed: int
    """Files of the source in the phase."""
    paths: tuple[str, ...]
    """The files taken, in order, each without the source's name that it begins with."""


def parse_fraction(text: str) -> Fraction:
    """A decimal fraction or a ratio like 1/64, exactly.

    Raises: RecipeError: not a number above 0 and at most 1.
    """
    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 0 < found <= 1:
        raise RecipeError(f"{text!r} is no fraction of a phase", where="--fraction", cure="Give a number above 0 and at most 1")
    return found


def cut(mix: Mix, groups: Sequence[Group], fraction: Fraction) -> tuple[Piece, ...]:
    """The pieces of a slice, by source in the order of the mix; sources of which no token is wanted give no file."""
    paths: dict[str, list[str]] = {}
    for group in groups:
        paths.setdefault(group.source, []).extend(group.paths)
    quotas = mix.quotas(math.floor(mix.total * fraction))
    return tuple(
        Piece(
            source=name,
            quota=quotas[name],
            listed=len(paths.get(name, ())),
            paths=tuple(paths.get(name, ())[: math.ceil(len(paths.get(name, ())) * fraction)]),
        )
        for name in mix.sources
        if quotas[name]
    )
