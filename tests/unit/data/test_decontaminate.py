"""No document that holds an evaluation item is trained on."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.data.conftest import put
from tests.unit.data.corpus_kit import QUIZ, json_lines, quiz_row
from yulan import digest
from yulan.data.benchmarks import Item, items
from yulan.data.decontaminate import Index, Match, decontaminate
from yulan.data.drops import read_drops
from yulan.errors import DataError, RecipeError
from yulan.recipe.corpus import Decontaminate
from yulan.recipe.sources import Benchmark

RULES = Decontaminate(ngram=8, shortest=4)
BEGIN = "which statement best explains why photosynthesis"
LONG = Item(
    id="long",
    question="Question: Which statement best explains why photosynthesis is the foundation of most food webs?\nAnswer:",
    choices=("Sunlight is the source of energy for nearly all ecosystems.", "Most ecosystems are found on land."),
    answer=0,
)
SHORT = Item(id="short", question="Question: Which planet is red?\nAnswer:", choices=("Venus", "Mars"), answer=1)
TINY = Item(id="tiny", question="Question: Why?\nAnswer:", choices=("So",), answer=0)
CHINESE = Item(id="zh", question="Question: 中华人民共和国的首都是哪一座城市？\nAnswer:", choices=("上海", "北京"), answer=1)


@pytest.fixture(scope="module")
def index() -> Index:
    return Index({"quiz": [LONG, SHORT, TINY, CHINESE]}, RULES)


@pytest.mark.parametrize(
    ("text", "item", "span"),
    [
        (
            "He asked: WHICH statement best—explains why photosynthesis is the key?",
            "long",
            "which statement best explains why photosynthesis is the",
        ),
        ("x sunlight is the source of energy for nearly all y", "long", "sunlight is the source of energy for nearly all"),
        ("most food webs?\n\nSunlight is the source of nothing", "long", "most food webs sunlight is the source of"),
        ("Quiz: which planet is red? -- Mars!", "short", "which planet is red mars"),
        ("请问：中华 人民共和国的首都，是哪里", "zh", "中 华 人 民 共 和 国 的 首 都 是 哪"),
    ],
)
def test_a_stretch_of_an_item_is_found(index: Index, text: str, item: str, span: str):
    assert index.search([text]) == [[Match(benchmark="quiz", item=item, span=span)]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "which statement best explains why photosynthesis is",
        "Which planet is red? Venus",
        "Why? So.",
        "which statement best explains some why photosynthesis is the",
        "Sunlight is the source of energy for almost all ecosystems",
        "wrong answers are no leak: most ecosystems are found on land",
    ],
)
def test_less_than_a_stretch_is_not(index: Index, text: str):
    assert index.search([text]) == [[]]


def test_a_stretch_does_not_run_from_one_text_into_the_next(index: Index):
    assert index.search(["which statement best explains", "why photosynthesis is the foundation"]) == [[], []]


def test_the_longest_stretch_is_told(index: Index):
    [[match]] = index.search([f"{BEGIN} is the. Again: {BEGIN} is the foundation of most"])
    assert match.span == f"{BEGIN} is the foundation of most"


def test_an_index_travels_without_its_tables(index: Index):
    make, made_of = index.__reduce__()
    assert make(*made_of).grams == index.grams


def test_no_items_match_nothing():
    assert Index({}, RULES).search(["any text at all"]) == [[]]


def test_matches_are_kept_as_evidence(tmp_path: Path):
    leak = "Quiz! Which planet is red? Mars."
    put(tmp_path / "dedup", "en/a", [leak, "Nothing of the kind."])
    drops = decontaminate({"quiz": [SHORT]}, RULES, tmp_path / "dedup", tmp_path / "out")
    assert pq.read_table(tmp_path / "out/matches.parquet").to_pylist() == [
        {"id": digest.of_text(leak), "source": "en/a", "benchmark": "quiz", "item": "short", "span": "which planet is red mars"}
    ]
    assert pq.read_table(tmp_path / "out/en/a/00000.parquet")["text"].to_pylist() == ["Nothing of the kind."]
    assert (drops.sources["en/a"].kept, drops.sources["en/a"].reasons["quiz"].count) == (1, 1)
    assert read_drops(tmp_path / "out") == drops


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
