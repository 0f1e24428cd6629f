"""Question sets as OLMo's evaluation suite ships them: each item once per answer, its `doc` with query, choices and gold.

Benchmarks (the test and validation splits) and training text (the train splits) come from the same files' format.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan.data.readers.lines import read_json_lines
from yulan.data.readers.reject import Reject
from yulan.schema import Scalar

ASK, ANSWER = "Question: ", "\nAnswer:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One multiple-choice question."""

    id: str
    """The data set's own."""
    question: str
    """What a model is given, up to and with `Answer:`."""
    choices: tuple[str, ...]
    answer: int
    """Index of the right choice."""

    @property
    def parts(self) -> dict[str, str]:
        """Passage, question and right answer without the template's words: what must not be trained on, in this order."""
        before, cut, asked = self.question.removesuffix(ANSWER).partition(f"\n{ASK}")
        if not cut:
            before, asked = "", self.question.removesuffix(ANSWER).removeprefix(ASK)
        told = {"passage": before.removeprefix(ASK), "question": asked.replace(f"\n{ASK}", "\n")}
        return {name: text for name, text in (told | {"answer": self.choices[self.answer]}).items() if text.strip()}

    @property
    def text(self) -> str:
        """Its parts as one text."""
        return "\n".join(self.parts.values())

    @property
    def passage(self) -> str | None:
        """What stands before the question, without its title; null where there is nothing."""
        before, cut, _ = self.question.partition(f"\n{ASK}")
        return before if cut and before.strip() else None


def read_items(paths: Iterable[Path]) -> Iterator[Item | Reject]:
    """Items of `.jsonl.gz` files, each once, in the order of the files.

    Raises: DataError: a file is no such archive.
    """
    for path in paths:
        seen: set[str] = set()
        for number, row in enumerate(read_json_lines(path), 1):
            if isinstance(row, Reject):
                yield row
                continue
            identity = str(row.get("native_id"))
            if identity not in seen:
                seen.add(identity)
                yield _item(identity, row.get("doc")) or Reject(where=f"{path.name}:{number}", reason="fields")


def _item(identity: str, doc: object) -> Item | None:
    if not isinstance(doc, dict):
        return None
    query, choices, gold = (doc.get(key) for key in ("query", "choices", "gold"))
    if not (
        isinstance(query, str)
        and isinstance(choices, list)
        and all(isinstance(c, str) for c in choices)
        and isinstance(gold, int)
    ):
        return None
    return Item(id=identity, question=query, choices=tuple(choices), answer=gold) if 0 <= gold < len(choices) else None


def read_questions(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """Each question with its right answer."""
    for item in read_items(paths):
        yield item if isinstance(item, Reject) else f"{item.question} {item.choices[item.answer]}"


def read_passages(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """The passage that each question is about."""
    for item in read_items(paths):
        yield item if isinstance(item, Reject) else item.passage or Reject(where=item.id, reason="no-passage")
