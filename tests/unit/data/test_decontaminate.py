"""No document that holds an evaluation item is trained on, and it is said which held what."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.data.conftest import put
from tests.unit.data.corpus_kit import QUIZ, json_lines, quiz_row
from yulan import digest
from yulan.data.benchmarks import Item, items
from yulan.data.contamination import Part, read_contamination
from yulan.data.decontaminate import decontaminate
from yulan.data.drops import read_drops
from yulan.errors import DataError, RecipeError
from yulan.recipe.corpus import Decontaminate
from yulan.recipe.sources import Benchmark

RULES = Decontaminate(ngram=8, shortest=4)
SHORT = Item(id="short", question="Question: Which planet is red?\nAnswer:", choices=("Venus", "Mars"), answer=1)
TINY = Item(id="tiny", question="Question: Why?\nAnswer:", choices=("So",), answer=0)
LONG = Item(
    id="long",
    question="Question: Which statement best explains why photosynthesis is the foundation of most food webs?\nAnswer:",
    choices=("Sunlight is the source of energy for nearly all ecosystems.", "Most ecosystems are found on land."),
    answer=0,
)
LEAK = "Quiz! Which planet is red? Mars."
STRETCH = "They asked: which statement best explains why photosynthesis is the key. Nobody knew."


def test_matches_are_kept_with_their_places(tmp_path: Path):
    put(tmp_path / "dedup", "en/a", [LEAK, "Nothing of the kind."])
    drops = decontaminate({"quiz": [SHORT]}, RULES, tmp_path / "dedup", tmp_path / "out")
    [row] = pq.read_table(tmp_path / "out/matches.parquet").to_pylist()
    assert row == {
        "id": digest.of_text(LEAK),
        "source": "en/a",
        "benchmark": "quiz",
        "item": "short",
        "kind": "whole",
        "field": "question+answer",
        "start": 6,
        "end": 31,
        "span": "which planet is red mars",
    }
    assert LEAK[row["start"] : row["end"]] == "Which planet is red? Mars"
    assert pq.read_table(tmp_path / "out/en/a/00000.parquet")["text"].to_pylist() == ["Nothing of the kind."]
    assert (drops.sources["en/a"].kept, drops.sources["en/a"].reasons["quiz"].count) == (1, 1)
    assert read_drops(tmp_path / "out") == drops


def test_a_table_says_what_of_each_benchmark_was_found_where(tmp_path: Path):
    put(tmp_path / "dedup", "en/a", [LEAK, STRETCH, "Nothing of the kind."])
    put(tmp_path / "dedup", "en/b", [LEAK + " " + STRETCH, "Nothing here either."])
    benchmarks = {"other": [TINY], "quiz": [SHORT, LONG, TINY]}
    decontaminate(benchmarks, RULES, tmp_path / "dedup", tmp_path / "out")
    made = read_contamination(tmp_path / "out")
    assert (made.ngram, made.shortest, made.documents) == (8, 4, 3)
    assert made.bytes == 2 * len(LEAK) + 2 * len(STRETCH) + 1
    quiz, both = made.benchmarks["quiz"], len(LEAK) + len(STRETCH) + 1
    assert (quiz.items, quiz.searched) == (3, 2)
    assert quiz.found == Part(items=2, documents=3, bytes=made.bytes)
    assert quiz.kinds == {
        "ngram": Part(items=1, documents=2, bytes=len(STRETCH) + both),
        "whole": Part(items=1, documents=2, bytes=len(LEAK) + both),
    }
    assert set(quiz.fields) == {"question", "question+answer"}
    assert quiz.sources == {
        "en/a": Part(items=2, documents=2, bytes=len(LEAK) + len(STRETCH)),
        "en/b": Part(items=2, documents=1, bytes=both),
    }
    assert made.benchmarks["other"].found == Part(items=0, documents=0, bytes=0)
    assert made.summary()["quiz"]["found"] == {"items": 2, "documents": 3, "bytes": made.bytes}


def test_a_source_of_which_nothing_is_left_stops_the_build(tmp_path: Path):
    put(tmp_path / "dedup", "en/a", ["Which planet is red? Mars."])
    with pytest.raises(DataError, match=r"no document of en/a is left\. Raise \$\.data\.decontaminate\.ngram"):
        decontaminate({"quiz": [SHORT]}, RULES, tmp_path / "dedup", tmp_path / "out")


def quiz(tmp_path: Path, data: bytes, **changes: object) -> Benchmark:
    path = tmp_path / "pack/quiz.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    keys = {"package": "pack", "hub": None, "reader": "questions", "paths": ("quiz.jsonl.gz",), "licence": "MIT"}
    return Benchmark(**{**keys, **changes})  # type: ignore[arg-type]


def test_a_benchmark_is_read_in_the_order_of_its_paths(tmp_path: Path):
    benchmark = quiz(tmp_path, QUIZ, paths=("z.jsonl.gz", "*.jsonl.gz"))
    (tmp_path / "pack/z.jsonl.gz").write_bytes(json_lines(quiz_row("last", "Q", ["a"]), quiz_row("q1", "Q", ["a"])))
    assert [item.id for item in items(tmp_path, benchmark)] == ["last", "q1", "2"]


def test_a_benchmark_is_whole_or_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"quiz\.jsonl\.gz:1: not a question: fields\. Build the stage"):
        list(items(tmp_path, quiz(tmp_path, json_lines({"native_id": 1}))))
    with pytest.raises(DataError, match=r"a benchmark's files are not there\. Build the stage"):
        list(items(tmp_path, quiz(tmp_path, QUIZ, paths=("other",))))
    with pytest.raises(RecipeError, match=r"no reader named 'question'\. Did you mean 'questions'\?"):
        list(items(tmp_path, quiz(tmp_path, QUIZ, reader="question")))
