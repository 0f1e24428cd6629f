"""Save behind the training: a rank copies its own partition, goes on, and a thread writes the copy.

Memory: the copy, 12 bytes for each number of the rank's partition, made once and used again by every save, and the
stream's BUFFER. The copy cannot be avoided: the next step changes the numbers while they are written.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from yulan.model.shape import Parameter
from yulan.train.checkpoint.stream import KINDS, TIMEOUT, Fragment


class Saver:
    """At most one save is in flight. What fails in it is raised by the next call here."""

    def __init__(self) -> None:
        self.group: Any = None
        """Connections of its own: a collective of the writer may not meet one of the training."""
        self.copies: dict[tuple[str, str], tuple[int, Tensor] | None] = {}
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    @torch.no_grad()
    def snapshot(self, parameters: Sequence[Parameter], fragment: Fragment) -> Fragment:
        """Copy this rank's pieces as they are now, in host memory, once the save before is done. Every rank calls it.

        Raises: what the save before raised.
        """
        self.finish()
        if self.group is None and dist.is_initialized() and dist.get_world_size() > 1:
            self.group = dist.new_group(backend="gloo", timeout=TIMEOUT)
        for parameter in parameters:
            for kind in KINDS:
                piece = fragment(parameter.name, kind)
                self.copies[parameter.name, kind] = _copied(piece, self.copies.get((parameter.name, kind)))
        return lambda name, kind: self.copies[name, kind]

    def start(self, work: Callable[[], None]) -> None:
        """Run `work`, which writes the snapshot, in a thread."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.failure = error

        self.thread = threading.Thread(target=run, name="checkpoint")
        self.thread.start()

    def check(self) -> None:
        """Raises: what a save has raised by now."""
        if self.thread is not None and not self.thread.is_alive():
            self.finish()

    def finish(self) -> None:
        """Wait for the save in flight.

        Raises: what it raised.
        """
        self.wait()
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def wait(self) -> None:
        """Wait for the save in flight, however it ends: the training ends with an error of its own."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None


def _copied(piece: tuple[int, Tensor] | None, before: tuple[int, Tensor] | None) -> tuple[int, Tensor] | None:
    if piece is None:
        return None
    begin, numbers = piece
    held = before[1] if before is not None and before[1].shape == numbers.shape else torch.empty(numbers.shape)
    return begin, held.copy_(numbers)
