"""What the model is asked, family by family, and what becomes of its answers."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from yulan import digest
from yulan.data.readers import Reject, documents
from yulan.data.sources import located
from yulan.errors import DataError, RecipeError
from yulan.recipe.corpus import PASSAGE, Family
from yulan.recipe.sources import Source
from yulan.schema import suggest

MARK = "{question}"
TRIES = 50
"""Questions drawn for each that is wanted: small tasks repeat themselves."""
SENTENCE_END = re.compile(r"(?<=[.!?])(?:\s+|$)")
ACCEPTED, UNVERIFIED = "accepted", "unverified"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question, and how its answer is judged."""

    question: str
    prompt: str
    """All that the model is given: the family's template around the question."""
    seed: int
    """The question's place in the task, and the seed of the answer's draws."""
    seed_document: str | None
    """Id of the document that the question was taken from."""
    judge: Callable[[str], str]
    """answer -> `accepted`, `unverified`, or the reason for which it is rejected."""


def asks(family: Family, template: str, seed: int, sources: Mapping[str, Source], folder: Path, where: str) -> list[Ask]:
    """The family's questions, each once and none of those that the template itself answers.

    `folder` is the data folder of the stage `sources`; `where` the family's key in the recipe.
    Raises: RecipeError: an unknown task, source or option; DataError: there are not so many questions.
    """
    some = _passages(family, seed, sources, folder, where) if family.task == PASSAGE else _questions(family, seed, where)
    different: dict[str, Ask] = {}
    for question, number, document, judge in some:
        if question not in different and question not in template:
            prompt = template.replace(MARK, question)
            different[question] = Ask(question=question, prompt=prompt, seed=number, seed_document=document, judge=judge)
        if len(different) == family.rows:
            return list(different.values())
    raise DataError(
        f"{len(different)} different questions where {family.rows} are wanted",
        where=f"{where}.rows",
        cure="Ask for fewer or widen its options",
    )


Asked = tuple[str, int, str | None, Callable[[str], str]]


def _questions(family: Family, seed: int, where: str) -> Iterator[Asked]:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if family.task not in DATASETS:
        raise RecipeError(
            f"no task named {family.task!r}", where=f"{where}.task", cure=suggest(family.task, [PASSAGE, *sorted(DATASETS)])
        )
    try:
        task = reasoning_gym.create_dataset(family.task, size=family.rows * TRIES, seed=seed, **family.options)
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError(f"the task does not take them: {error}", where=f"{where}.options", cure="Correct them") from None
    for number, entry in enumerate(task, seed):
        yield entry["question"].strip(), number, None, _judge(task, entry) if family.verified else _said


def _judge(task: Any, entry: dict[str, Any]) -> Callable[[str], str]:
    """The task's own verifier; only a full score is accepted."""

    def judge(answer: str) -> str:
        if not answer:
            return "empty"
        return ACCEPTED if task.score_answer(answer, entry) >= 1.0 else "wrong"

    return judge


def _said(answer: str) -> str:
    return UNVERIFIED if answer else "empty"


def _read(passage: str) -> str:
    """Small models go round in circles: a passage that says a sentence twice is rejected."""
    sentences = SENTENCE_END.split(passage)
    return _said(passage) if len(set(sentences)) == len(sentences) else "repeats"


def _passages(family: Family, seed: int, sources: Mapping[str, Source], folder: Path, where: str) -> Iterator[Asked]:
    """Titles of documents in the order of their ids, which is a random one. No other word of them reaches the model."""
    name = str(family.options.get("source"))
    if name not in sources or not sources[name].packaged:
        known = sorted(key for key, source in sources.items() if source.packaged)
        raise RecipeError(f"no source of text named {name!r}", where=f"{where}.options.source", cure=suggest(name, known))
    texts = documents(sources[name], name, located(folder, sources[name]))
    seeds = sorted((digest.of_text(text), text) for text in texts if not isinstance(text, Reject))
    for number, (document, text) in enumerate(islice(seeds, family.rows * TRIES), seed):
        yield text.split("\n", 1)[0].strip(), number, document, _read


def whole(answer: str, family: Family) -> str:
    """The answer without what the token limit cut off: a passage ends with its last whole sentence."""
    answer = answer.strip()
    if family.task != PASSAGE:
        return answer
    ends = [match.start() for match in SENTENCE_END.finditer(answer)]
    return answer[: ends[-1]] if ends else ""


def read_template(folder: Path, name: str) -> str:
    """`<folder>/<name>.txt`: what the model is given, with {question} where the question stands; ends without a line end.

    Raises: RecipeError: no such file, or the mark does not stand in it exactly once.
    """
    path = folder / f"{name}.txt"
    try:
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError):
        raise RecipeError("the family has no prompt", where=path, cure=f"Write it, as UTF-8, with {MARK} in it") from None
    if text.count(MARK) != 1:
        raise RecipeError(f"{MARK} stands in it {text.count(MARK)} times", where=path, cure="Write it once")
    return text
