"""A request's body. Its beginning is awaited before a worker thread is taken, so that slow clients hold none of them."""

import time
from collections.abc import Iterator

import anyio
import anyio.from_thread
from starlette.requests import Request

from yulan.rehearsal.limits import RATE
from yulan.rehearsal.refused import Refused

AHEAD = 64 << 10
"""Bytes that must be here, or the whole body, before a thread is taken."""


class Body:
    def __init__(self, request: Request, silence: float) -> None:
        self.stream, self.silence = request.stream(), silence
        self.started, self.size = time.monotonic(), 0
        self.ahead: list[bytes] = []

    async def begin(self) -> None:
        """Raises: Refused: 408, the client fell silent or is too slow."""
        while self.size < AHEAD and (block := await self._block()) is not None:
            self.ahead.append(block)

    async def _block(self) -> bytes | None:
        late = self.started + self.silence + self.size / RATE - time.monotonic()
        try:
            with anyio.fail_after(max(0.0, min(self.silence, late))):
                block = await anext(self.stream, None)
        except TimeoutError:
            raise Refused(408, f"The body did not get on for {self.silence:g} s") from None
        self.size += len(block or b"")
        return block

    def blocks(self) -> Iterator[bytes]:
        """The body as it comes, in a worker thread. Raises: Refused: as in `begin`."""
        while self.ahead:
            yield self.ahead.pop(0)
        while (block := anyio.from_thread.run(self._block)) is not None:
            if block:
                yield block
