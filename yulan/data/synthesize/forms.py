"""What a model wrote, taken apart: the text that may become a document, or why it cannot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from yulan.data.synthesize.engine import Answer
from yulan.data.synthesize.families import Ask
from yulan.data.synthesize.tidy import boxed
from yulan.recipe.synthesis import CODE, KINDS, LEAN, PASSAGE, PROBLEM, THOUGHT, Family

SENTENCE_END = re.compile(r"(?<=[.!?])(?:\s+|$)")
PARTS = re.compile(r"\s*(?:\[Problem\]:?)?\s*(?P<problem>.*?)\s*\[Solution\]:?\s*(?P<solution>.*?)\s*", re.DOTALL)
FENCE = re.compile(r"^```[ \t]*[\w+-]*[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
STEP = "State before:\n```lean4\n{before}\n```\nTactic:\n```lean4\n{tactic}\n```\nState after:\n```lean4\n{after}\n```"
CHATTER = ("Human:", "User:", "Assistant:")
"""Where a model went on to play the next turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shaped:
    """`reason` is None: `text` may become a document."""

    text: str
    question: str
    """As the row tells it; made by the model where it is asked to."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the family's check is given."""
    reason: str | None = None


def shape(family: Family, ask: Ask, answer: Answer) -> Shaped:
    """Never fails: what does not fit is rejected with a reason."""
    said = answer.text.strip()
    if family.task == PASSAGE:
        said = whole(said)
    if not said:
        return Shaped(text=ask.question, question=ask.question, reason="empty")
    if family.task in KINDS and family.task != PASSAGE and answer.finish == "length":
        return Shaped(text=said, question=ask.question, reason="cut")
    if family.task == PASSAGE:
        return _passage(ask, said)
    if family.task == PROBLEM:
        return _problem(said)
    if family.task == THOUGHT:
        return _thought(ask, said)
    if family.task == CODE:
        return _code(said)
    if family.task in LEAN:
        return _lean(family, ask, said)
    if family.verified:
        return Shaped(text=f"Question: {ask.question}\nAnswer: {said}", question=ask.question, parts={"answer": said})
    return Shaped(text=f"{ask.question}\n\n{said}", question=ask.question)


def whole(passage: str) -> str:
    """Without what the token limit cut off: a passage ends with its last whole sentence."""
    ends = [match.start() for match in SENTENCE_END.finditer(passage)]
    return passage[: ends[-1]] if ends else ""


def _passage(ask: Ask, said: str) -> Shaped:
    """Small models go round in circles: a passage that says a sentence twice is rejected."""
    sentences = SENTENCE_END.split(said)
    reason = None if len(set(sentences)) == len(sentences) else "repeats"
    return Shaped(text=f"{ask.question}\n\n{said}", question=ask.question, reason=reason)


def _problem(said: str) -> Shaped:
    found = PARTS.fullmatch(said)
    if found is None or not found["problem"] or not found["solution"] or any(word in said for word in CHATTER):
        return Shaped(text=said, question="", reason="malformed")
    return Shaped(text=f"Problem: {found['problem']}\n\nSolution: {found['solution']}", question=found["problem"])


def _thought(ask: Ask, said: str) -> Shaped:
    text, last = f"{ask.question}\n\n{said}", boxed(said)
    if last is None:
        return Shaped(text=text, question=ask.question, reason="no-box")
    return Shaped(text=text, question=ask.question, parts={"answer": last})


def _code(said: str) -> Shaped:
    """A problem, then the program and its tests, each in a fence."""
    blocks = list(FENCE.finditer(said))
    problem = re.sub(r"\[Problem\]:?", "", said[: blocks[0].start()]).strip() if blocks else ""
    if len(blocks) != 2 or not problem:
        return Shaped(text=said, question=problem, reason="malformed")
    program, tests = (block[1].strip() for block in blocks)
    text = f"{problem}\n\n```python\n{program}\n```\n\n```python\n{tests}\n```"
    return Shaped(text=text, question=problem, parts={"program": program, "tests": tests})


def _lean(family: Family, ask: Ask, said: str) -> Shaped:
    """An explanation stands behind the step; a predicted state takes its place in it."""
    if family.task == LEAN[0]:
        return Shaped(text=f"{STEP.format(**ask.fields)}\n\n{said}", question=ask.question, parts=ask.fields)
    block = FENCE.search(said)
    state = (block[1] if block else said).strip()
    parts = {**ask.fields, "after" if family.task == LEAN[1] else "before": state}
    return Shaped(text=STEP.format(**parts), question=ask.question, parts=parts)
