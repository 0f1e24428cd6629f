"""Scores of another judge come as rows that say who judged what and how; they are compared, and decide where told to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.score.kit import documents, fill, quality, rules
from yulan import digest, files
from yulan.data.score.labels import Label, agreement, read_labels
from yulan.data.score.result import Scores
from yulan.data.score.split import score
from yulan.errors import DataError, IntegrityError, RecipeError
from yulan.recipe.scoring import Labels

MODEL, PROMPT = digest.of_text("model"), digest.of_text("prompt")


def row(identity: str, score: Any, **changes: Any) -> dict[str, Any]:
    return {"id": identity, "score": score, "model": MODEL, "prompt": PROMPT} | changes


def write(folder: Path, *rows: Any, override: bool = False) -> Labels:
    lines = b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in rows)
    files.write_bytes(folder / "labels/good.jsonl", lines)
    return Labels(path="labels/good.jsonl", sha256=digest.of_bytes(lines), override=override)


def judged(tmp_path: Path, labels: Labels | None, into: str) -> tuple[Scores, dict[str, str]]:
    found = score(rules(quality={"good": quality(labels=labels)}), tmp_path, tmp_path / "in", tmp_path / into)
    return found, {i: path for i, (path, _) in documents(tmp_path / into).items() if path.startswith("web/")}


def test_labels_are_compared_and_decide_only_where_the_recipe_says(tmp_path: Path):
    fill(tmp_path / "in")
    _, own = judged(tmp_path, None, "own")
    some = sorted(own)[:50]
    rows = [row(identity, 6 - int(own[identity][-1])) for identity in some] + [row("f" * 64, 3)]
    told, compared = judged(tmp_path, write(tmp_path, *rows), "compared")
    assert compared == own
    labelled = told.classifiers["quality/good"].labelled
    assert labelled is not None
    assert (labelled.documents, labelled.decided, labelled.models, labelled.prompts) == (50, 0, (MODEL,), (PROMPT,))
    assert labelled.kappa is not None
    assert labelled.kappa < 0
    assert sum(map(sum, labelled.table)) == 50
    turned, moved = judged(tmp_path, write(tmp_path, *rows, override=True), "moved")
    assert {identity for identity in own if moved[identity] != own[identity]} <= set(some)
    assert all(int(moved[identity][-1]) == 6 - int(own[identity][-1]) for identity in some)
    again = turned.classifiers["quality/good"].labelled
    assert again is not None
    assert again == replace(labelled, decided=sum(own[identity][-1] != "3" for identity in some))


def test_agreement_counts_what_is_equal_and_what_is_near():
    told = agreement([(1, 1), (2, 3), (5, 1), (4, 4)], 0, [Label(id="0" * 64, score=1, model=MODEL, prompt=PROMPT)])
    assert told is not None
    assert (told.equal, told.within_one) == (0.5, 0.75)
    assert told.table[4] == (1, 0, 0, 0, 0)
    flat = agreement([(3, 1), (3, 2)], 0, [])
    assert flat is not None
    assert flat.kappa is None
    assert agreement([], 0, []) is None


def test_a_file_of_labels_is_the_one_that_the_recipe_names(tmp_path: Path):
    told = write(tmp_path, row("0" * 64, 3))
    assert read_labels(tmp_path, told) == {"0" * 64: Label(id="0" * 64, score=3, model=MODEL, prompt=PROMPT)}
    with pytest.raises(IntegrityError, match=r"not the labels that the recipe names\. Restore it, or correct"):
        read_labels(tmp_path, replace(told, sha256="0" * 64))
    with pytest.raises(RecipeError, match=r"no such file of labels\. Put it there"):
        read_labels(tmp_path, replace(told, path="labels/none.jsonl"))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"{", "not a row of JSON"),
        (b"", "not a row of JSON"),
        (row("1" * 64, 6), "6 is greater than the maximum of 5"),
        (row("1" * 64, 2.5), "'2.5' is not of type integer"),
        (row("1" * 64, 3, model="gpt"), "does not match"),
        (row("0" * 64, 3), "document 000000000000 is labelled twice"),
    ],
)
def test_a_row_that_is_no_label_is_named_by_its_line(tmp_path: Path, bad: Any, words: str):
    with pytest.raises(DataError, match=words) as error:
        read_labels(tmp_path, write(tmp_path, row("0" * 64, 3), bad))
    assert "good.jsonl:2" in str(error.value)
