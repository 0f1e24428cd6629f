"""What the hub bears: how slow a client may be, and how many calls it may make in a window of time."""

import threading
import time
from dataclasses import dataclass

from yulan.rehearsal.refused import Refused

RATE = 1_000
"""Bytes a second that a body must bring on the whole, after the first `silence`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    silence: float = 60.0
    """Seconds that a client may take for a request's head, or stay silent in a body."""
    api: int | None = None
    """API calls of one token, or one address without a token, in a window; None counts none. The public hub: 1,000."""
    resolvers: int | None = None
    """The same for downloads. The public hub: 5,000."""
    window: int = 300
    """Seconds."""


class Quota:
    """Counts calls in fixed windows and tells clients what is left, in the headers RateLimit and RateLimit-Policy."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.lock, self.seen = limits, threading.Lock(), dict[tuple[str, str], int]()
        self.started = time.monotonic()

    def count(self, path: str, who: str) -> dict[str, str]:
        """Headers of the answer. Raises: Refused: 429, none are left."""
        kind = "resolvers" if "/resolve/" in path else "api"
        limit = self.limits.resolvers if kind == "resolvers" else self.limits.api
        if limit is None or not (kind == "resolvers" or path.startswith("/api/")):
            return {}
        with self.lock:
            now = time.monotonic()
            if now - self.started >= self.limits.window:
                self.started, self.seen = now, {}
            used = self.seen[kind, who] = self.seen.get((kind, who), 0) + 1
            rest = max(1, round(self.limits.window - (now - self.started)))
        headers = {
            "RateLimit": f'"{kind}";r={max(0, limit - used)};t={rest}',
            "RateLimit-Policy": f'"fixed window";"{kind}";q={limit};w={self.limits.window}',
        }
        if used > limit:
            raise Refused(429, f"We had to rate limit you. Try again in {rest} s", headers=headers)
        return headers
