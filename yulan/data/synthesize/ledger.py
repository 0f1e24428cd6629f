"""Every answer that was paid for, in a log outside DVC: a rerun after a kill asks only what is missing.

`rows.jsonl` is append-only; each row carries a digest that also covers the rows before it, so that a torn or damaged
end is found and asked again.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from yulan import digest, files
from yulan.data.synthesize.engine import Answer, Engine, Request, Sampling

ROWS = "rows.jsonl"
LOCK = "lock"
SEALED = "sealed.json"
"""Names the artifact that was made of it; written last, so that `yulan gc` knows it is no longer needed."""
BEGINNING = "0" * 64


class Ledger:
    """Of one model and its settings, which the folder's name stands for; the folder's lock is held until the process ends."""

    def __init__(self, folder: Path) -> None:
        """Raises: StateError: another process works in the folder."""
        self.lock = files.lock(folder / LOCK)
        self.path = folder / ROWS
        sound = self._read()
        self.known = {(row["key"], row["prompt"]): Answer(text=row["answer"], finish=row["finish"]) for row in sound}
        self.chain = sound[-1]["chain"] if sound else BEGINNING

    def _read(self) -> list[dict[str, Any]]:
        """Rows up to the first that does not follow from the one before; what comes after it is taken out of the file."""
        sound, chain = [], BEGINNING
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        for line in lines:
            try:
                row = json.loads(line)
                told = row.pop("chain")
            except (ValueError, KeyError, AttributeError, TypeError):
                break
            chain = digest.chained(chain, row)
            if told != chain:
                break
            sound.append({**row, "chain": chain})
        if len(lines) != len(sound) + 1 or lines[-1]:
            files.write_rows(self.path, sound)
        return sound

    def _add(self, key: str, prompt: str, answer: Answer) -> None:
        row = {"key": key, "prompt": prompt, "answer": answer.text, "finish": answer.finish}
        self.chain = digest.chained(self.chain, row)
        files.append(self.path, [{**row, "chain": self.chain}], durable=True)
        self.known[key, prompt] = answer

    def ask(self, engine: Engine, requests: Sequence[Request], sampling: Sampling) -> list[Answer]:
        """The answers, in the order of the requests; those that are not here yet are asked for and written as they come."""
        prompts = [digest.of_bytes(request.prompt.encode()) for request in requests]
        places = [(request.key, prompt) for request, prompt in zip(requests, prompts, strict=True)]
        done = {i for i, place in enumerate(places) if place in self.known}
        if len(done) < len(places):
            for i, answer in engine.answers(requests, sampling, done):
                self._add(*places[i], answer)
        return [self.known[place] for place in places]

    def check(self, work: Sequence[tuple[str, str, Callable[[], str]]], workers: int) -> list[str]:
        """Verdicts that take long, each (key, what is judged, how): worked out beside each other and remembered like answers."""
        places = [(key, digest.of_bytes(text.encode("utf-8", "surrogatepass"))) for key, text, _ in work]
        left = [i for i, place in enumerate(places) if place not in self.known]
        with ThreadPoolExecutor(workers) as pool:
            for i, verdict in zip(left, pool.map(lambda i: work[i][2](), left), strict=True):
                self._add(*places[i], Answer(text=verdict, finish="stop"))
        return [self.known[place].text for place in places]
