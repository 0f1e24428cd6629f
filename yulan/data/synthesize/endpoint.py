"""A model behind an OpenAI-compatible address: `parallel` requests at a time, each tried again where that can help.

httpx2 is the client that huggingface_hub brings along. `openai` would add a dependency, read its own environment
variables, and leave what has to be decided here (what is tried again, how long, and what counts as an answer) to be
written all the same.
"""

import contextlib
import email.utils
import json
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from yulan import digest
from yulan.data.synthesize.engine import Answer, Request, Sampling, cut
from yulan.errors import HubError, RecipeError, StateError
from yulan.profile import Address
from yulan.recipe.synthesis import Endpoint

KEY, KEY_FILE = "YULAN_ENDPOINT_KEY", "YULAN_ENDPOINT_KEY_FILE"
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before the second try; they double."""
LONGEST_ASKED = 600.0
"""Most seconds that a Retry-After is honoured for."""
LARGEST = 64 << 20
"""Bytes of an answer."""
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
REFUSED: Mapping[int, tuple[str, str]] = {
    401: ("refuses the key", f"Set {KEY}, or {KEY_FILE} to a file that holds it"),
    403: ("does not allow it", "Ask whoever runs it, or use another key"),
    404: ("knows no such model or path", "Correct endpoint.address or endpoint.served in the profile"),
}


class Transient(Exception):
    """Trying again may help; `after` is what the server asked for, in seconds."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Remote:
    """The engine of a recipe that names a model; the profile says where it is asked."""

    def __init__(self, model: Endpoint, address: Address | None, environment: Mapping[str, str] | None = None) -> None:
        """Raises: RecipeError: the profile has no endpoint; StateError: the key that it asks for is missing."""
        if address is None:
            raise RecipeError(
                f"the recipe asks {model.name} and the profile has no endpoint",
                where="profile: $.endpoint",
                cure="Fill it in in a copy of the profile, and choose that one with: yulan use RECIPE --profile FILE.yaml",
            )
        self.digest = digest.of_json({"name": model.name, "revision": model.revision})
        self.address, self.chat, self.served = address, model.chat, address.served or model.name
        self._key = read_key(os.environ if environment is None else environment) if address.key else None
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx2.Client(
            headers=headers,
            timeout=address.timeout,
            # What stands in the environment for other programs (.netrc, proxies) is not meant for this one.
            trust_env=False,
            limits=httpx2.Limits(max_connections=address.parallel, max_keepalive_connections=address.parallel),
        )
        self._stop = threading.Event()
        self._pause = 0.0

    def answers(self, requests: Sequence[Request], sampling: Sampling, done: Collection[int]) -> Iterator[tuple[int, Answer]]:
        """Raises: HubError: the endpoint refuses, stays silent, or is not what it should be; what came by then was given."""
        self._stop.clear()
        wanted = iter([i for i in range(len(requests)) if i not in done])
        failure: HubError | None = None
        with ThreadPoolExecutor(self.address.parallel) as pool:
            running: dict[Future[Answer], int] = {}
            try:
                while True:
                    while failure is None and len(running) < self.address.parallel and (i := next(wanted, None)) is not None:
                        running[pool.submit(self._answer, requests[i], sampling)] = i
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        i = running.pop(future)
                        try:
                            yield i, future.result()
                        except HubError as error:
                            failure = failure or error
                            self._stop.set()
            finally:
                self._stop.set()
        if failure is not None:
            raise failure

    def _answer(self, request: Request, sampling: Sampling) -> Answer:
        body = {
            "model": self.served,
            **({"messages": [{"role": "user", "content": request.prompt}]} if self.chat else {"prompt": request.prompt}),
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
        }
        delay, left = FIRST_WAIT, self.address.tries
        while True:
            self._wait_for_others()
            left -= 1
            try:
                return self._read(self._send(body), sampling)
            except Transient as fault:
                if not left or self._stop.is_set():
                    raise self._error(f"the endpoint gave no answer in {self.address.tries} tries: {fault}") from None
                # Not all at the same moment; and the same delay for the same request, whichever run it is.
                share = 0.5 + int(digest.of_bytes(request.key.encode())[:4], 16) / 0x1FFFE
                pause = min(fault.after, LONGEST_ASKED) if fault.after is not None else delay * share
                if fault.after is not None:
                    self._pause = max(self._pause, time.monotonic() + pause)
                delay = min(2 * delay, LONGEST_WAIT)
                self._stop.wait(pause)

    def _wait_for_others(self) -> None:
        """What the server asked one request to wait, all wait."""
        while (rest := self._pause - time.monotonic()) > 0 and not self._stop.is_set():
            self._stop.wait(rest)

    def _send(self, body: dict[str, Any]) -> Any:
        url = f"{self.address.address.rstrip('/')}/{'chat/completions' if self.chat else 'completions'}"
        deadline = time.monotonic() + self.address.timeout
        try:
            with self._client.stream("POST", url, json=body) as response:
                data = bytearray()
                for block in response.iter_bytes():
                    data += block
                    # The client's own limit is for each block; a server may send one a minute.
                    if time.monotonic() > deadline:
                        raise Transient(f"no whole answer in {self.address.timeout:g} s")
                    if len(data) > LARGEST:
                        raise Transient(f"an answer of more than {LARGEST:,} bytes")
                status, after = response.status_code, response.headers.get("retry-after")
        except httpx2.InvalidURL as error:
            raise self._error(f"the endpoint's address is none: {error}") from None
        except httpx2.HTTPError as error:
            raise Transient(f"{error.__class__.__name__} {error}".strip()) from None
        if status in AGAIN:
            raise Transient(f"HTTP {status}", seconds(after))
        if status != 200:
            what, cure = REFUSED.get(
                status, ("refuses the request", "Read what it says; correct the recipe's family or the server")
            )
            raise self._error(f"the endpoint {what} (HTTP {status})", cure, [self._safe(data.decode("utf-8", "replace")[:500])])
        try:
            return json.loads(data)
        except ValueError:
            raise Transient("what it sends is not JSON") from None

    def _read(self, said: Any, sampling: Sampling) -> Answer:
        try:
            choice = said["choices"][0]
            text = choice["message"]["content"] if self.chat else choice["text"]
            name, finish = said["model"], choice["finish_reason"]
        except (KeyError, IndexError, TypeError):
            raise Transient("what it sends is no completion") from None
        if not isinstance(text, str) or not isinstance(name, str):
            raise Transient("what it sends is no completion")
        # transformers' server puts the revision behind the name.
        if name != self.served and name.rpartition("@")[0] != self.served:
            other = self._safe(name)
            raise self._error(
                f"the endpoint answers as {other!r}, and {self.served!r} was asked",
                "Serve the recipe's model, or write what it is called there as endpoint.served in the profile",
            )
        shorter = cut(text, sampling.stop)
        return Answer(text=shorter, finish="length" if finish == "length" and len(shorter) == len(text) else "stop")

    def _error(self, what: str, cure: str | None = None, evidence: Sequence[str] = ()) -> HubError:
        cure = (
            cure or "Start it, or correct endpoint.address in the profile; answers that came are kept, run the same command again"
        )
        return HubError(what, where=self.address.address, cure=cure, evidence=[row for row in evidence if row])

    def _safe(self, text: str) -> str:
        """A server may send back what it was given."""
        return text.replace(self._key, "***") if self._key else text

    def close(self) -> None:
        self._client.close()


def read_key(environment: Mapping[str, str]) -> str:
    """Raises: StateError: neither variable is set, or the file is none that can be read."""
    key, where = environment.get(KEY, "").strip(), KEY
    if not key and (name := environment.get(KEY_FILE, "")):
        where = KEY_FILE
        with contextlib.suppress(OSError, UnicodeDecodeError):
            key = Path(name).read_text(encoding="utf-8").strip()
    # A header holds nothing else.
    if key and key.isascii() and key.isprintable():
        return key
    if key or where == KEY_FILE:
        raise StateError("holds no key that can be read", where=where, cure="Put the key there, one line, and nothing else")
    raise StateError("the endpoint asks for a key, and there is none", where=KEY, cure=f"Set it, or {KEY_FILE} to a file's name")


def seconds(after: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if after is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(after)) if float(after) == float(after) else None
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (email.utils.parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    return None
