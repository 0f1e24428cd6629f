"""Contenders that time themselves, by the wall clock and by their processor time, in turns: two lines each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tests.bench.pairs import Aim, Line, ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Seconds of one round."""

    wall: float
    processor: float


def in_turns(
    name: str, contenders: Mapping[str, Callable[[], Turn]], megabytes: float, rounds: int, aim: Aim, *, warmup: int = 1
) -> list[Line]:
    """How many times as fast the first of two contenders is, round by round; each round begins with the other one."""
    names = list(contenders)
    found: dict[str, list[Turn]] = {each: [] for each in names}
    for number in range(warmup + rounds):
        for turn in range(2):
            each = names[(number + turn) % 2]
            told = contenders[each]()
            if number >= warmup:
                found[each].append(told)
    return lines_of(name, found[names[0]], found[names[1]], [megabytes] * rounds, aim)


class Watch:
    """Times the block it stands over."""

    turn: Turn

    def __enter__(self) -> "Watch":
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.turn = Turn(wall=time.perf_counter() - self._began[0], processor=time.process_time() - self._began[1])


def told(words: str) -> Turn:
    """What a peer's script prints last: seconds by the wall clock and of its processor."""
    wall, processor = words.split()[-2:]
    return Turn(wall=float(wall), processor=float(processor))


def lines_of(name: str, ours: list[Turn], theirs: list[Turn], megabytes: list[float], aim: Aim) -> list[Line]:
    """The same from turns that were taken; `megabytes` of each."""
    size = float(np.median(megabytes))
    return [
        ratio(
            f"{name}, {clock}",
            np.array([getattr(each, key) for each in theirs]),
            np.array([getattr(each, key) for each in ours]),
            told=lambda seconds: f"{size / seconds:.2f} MB/s",
            aim=aim,
            ours="under",
        )
        for clock, key in (("wall clock", "wall"), ("processor time", "processor"))
    ]
