"""What the model is asked, family by family: seeds become questions, questions prompts."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from yulan import digest
from yulan.data.readers import Reject, documents
from yulan.data.sources import located
from yulan.data.synthesize.prompts import fill
from yulan.data.synthesize.tidy import boxed
from yulan.errors import DataError, RecipeError
from yulan.recipe.sources import Source
from yulan.recipe.synthesis import CODE, KINDS, LEAN, PASSAGE, PROBLEM, THOUGHT, Family
from yulan.schema import suggest

TRIES = 50
"""Questions drawn for each that is wanted: small tasks repeat themselves."""
SEED_CHARS = 4000
"""Of a seed text that the model sees, unless the option `chars` says another number."""
STATES = {"before": "state_before", "tactic": "tactic", "after": "state_after"}
"""Field -> key of a seed document that is a step of a Lean proof, as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question, and what its answer is held against."""

    question: str
    """What the row tells; empty where the model makes the question."""
    prompt: str
    """All that the model is given: the family's template, filled in."""
    seed: int
    """The question's place in the task, and the seed of the answer's draws."""
    seed_document: str | None
    """Id of the document that the question was taken from."""
    fields: Mapping[str, str]
    reference: str | None
    """A right answer, where one is known."""
    score: Callable[[str], float] | None
    """The task's own verifier; 1 is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """What an `Ask` is made of."""

    fields: Mapping[str, str]
    number: int
    question: str = ""
    document: str | None = None
    reference: str | None = None
    score: Callable[[str], float] | None = None


def asks(family: Family, template: str, seed: int, sources: Mapping[str, Source], folder: Path, where: str) -> list[Ask]:
    """The family's questions, each once and none of those that the template itself answers.

    `folder` is the data folder of the stage `sources`; `where` the family's key in the recipe.
    Raises: RecipeError: an unknown task, source or option; DataError: there are not so many questions.
    """
    different: dict[str, Ask] = {}
    for found in _seeds(family, seed, sources, folder, where):
        if not all(found.fields.values()) or next(iter(found.fields.values())) in template:
            continue
        prompt = fill(template, found.fields)
        different.setdefault(
            prompt,
            Ask(
                question=found.question, prompt=prompt, seed=found.number, seed_document=found.document,
                fields=found.fields, reference=found.reference, score=found.score,
            ),
        )  # fmt: skip
        if len(different) == family.rows:
            return list(different.values())
    raise DataError(
        f"{len(different)} different questions where {family.rows} are wanted",
        where=f"{where}.rows",
        cure="Ask for fewer, widen its options or give it more seeds",
    )


def _seeds(family: Family, seed: int, sources: Mapping[str, Source], folder: Path, where: str) -> Iterator[Seed]:
    if family.task not in KINDS:
        return _questions(family.task, dict(family.options), family.rows, seed, where)
    if family.task == THOUGHT and "task" in family.options:
        rest = {key: value for key, value in family.options.items() if key != "task"}
        return _questions(str(family.options["task"]), rest, family.rows, seed, f"{where}.options")
    made = {PASSAGE: _passage, PROBLEM: _text, CODE: _text, THOUGHT: _asked}.get(family.task, _step)
    texts = _texts(family, sources, folder, where)
    return (found for number, (document, text) in enumerate(texts, seed) for found in made(family, number, document, text))


def _questions(task: str, options: dict[str, Any], rows: int, seed: int, where: str) -> Iterator[Seed]:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        raise RecipeError(f"no task named {task!r}", where=f"{where}.task", cure=suggest(task, [*KINDS, *sorted(DATASETS)]))
    try:
        made = reasoning_gym.create_dataset(task, size=rows * TRIES, seed=seed, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError(f"the task does not take them: {error}", where=f"{where}.options", cure="Correct them") from None
    for number, entry in enumerate(made, seed):
        question = entry["question"].strip()
        yield Seed(
            fields={"question": question}, number=number, question=question, reference=str(entry["answer"]),
            score=partial(_score, made, entry),
        )  # fmt: skip


def _score(task: Any, entry: dict[str, Any], answer: str) -> float:
    return float(task.score_answer(answer, entry))


def _texts(family: Family, sources: Mapping[str, Source], folder: Path, where: str) -> Iterator[tuple[str, str]]:
    """(id, text) in the order of ids, which is a random one."""
    name = str(family.options.get("source"))
    if name not in sources or not sources[name].packaged:
        known = sorted(key for key, source in sources.items() if source.packaged)
        raise RecipeError(f"no source of text named {name!r}", where=f"{where}.options.source", cure=suggest(name, known))
    texts = documents(sources[name], name, located(folder, sources[name]))
    found = sorted((digest.of_text(text), text) for text in texts if not isinstance(text, Reject))
    return islice(iter(found), family.rows * TRIES)


def _passage(_: Family, number: int, document: str, text: str) -> Iterator[Seed]:
    """The title alone: no other word of a seed reaches the model."""
    title = text.split("\n", 1)[0].strip()
    yield Seed(fields={"question": title}, number=number, question=title, document=document)


def _text(family: Family, number: int, document: str, text: str) -> Iterator[Seed]:
    yield Seed(fields={"text": text[: int(family.options.get("chars", SEED_CHARS))].strip()}, number=number, document=document)


def _asked(family: Family, number: int, document: str, text: str) -> Iterator[Seed]:
    """A question, and behind the option `split` its answer: what the last box holds, or all of it."""
    question, _, rest = text.partition(str(family.options["split"])) if "split" in family.options else (text, "", "")
    reference = boxed(rest) or rest.strip() or None
    if reference is not None or family.check != "boxed":
        question = question.strip()
        yield Seed(fields={"question": question}, number=number, question=question, document=document, reference=reference)


def _step(family: Family, number: int, document: str, text: str) -> Iterator[Seed]:
    """One step of a Lean proof: a JSON object with state_before, tactic and state_after; other documents are passed over."""
    try:
        told = json.loads(text)
        fields = {field: str(told[key]).strip() for field, key in STATES.items()}
    except (ValueError, KeyError, TypeError):
        return
    reference = {LEAN[1]: fields["after"], LEAN[2]: fields["before"]}.get(family.task)
    yield Seed(fields=fields, number=number, question=fields["tactic"], document=document, reference=reference)
