"""Readers yield texts, and say what they could not take."""

import contextlib
import gzip
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.data.corpus_kit import QUIZ, json_lines, quiz_row, source
from yulan.data import readers
from yulan.data.readers import Reject, documents, lines
from yulan.data.readers.questions import read_items
from yulan.errors import DataError, RecipeError, StateError, YulanError


def read(reader: str, path: Path, **options: int) -> list[str | Reject]:
    return list(documents(source(reader=reader, options=options), "a/b", [path]))


def zipped(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("words.txt", data)
    return path


def test_an_unknown_reader_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"sources\.a/b\.reader: no reader named 'cod'\. Did you mean 'code'\?"):
        read("cod", tmp_path)


def test_code_is_read_as_it_is(tmp_path: Path):
    path = tmp_path / "a.py"
    path.write_bytes("\ufeffx = '　'\r\n".encode())
    assert read("code", path) == ["x = '　'\r\n"]
    path.write_bytes(b"\xff\xfe")
    assert read("code", path) == [Reject(where="a.py", reason="utf-8")]
    path.write_bytes(b"a\0b")
    assert read("code", path) == [Reject(where="a.py", reason="binary")]


def test_articles_without_text_are_told(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"A": {"title": "A", "extract": "Alpha."}, "B": {"title": "B", "extract": None}, "C": 3}))
    assert read("summaries", path) == [
        "A\n\nAlpha.",
        Reject(where="a.json: B", reason="null"),
        Reject(where="a.json: C", reason="null"),
    ]
    path.write_text("[]")
    with pytest.raises(DataError, match="not an object of articles"):
        read("summaries", path)


def test_half_a_character_is_no_document(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text('{"A": {"title": "A", "extract": "\\ud800"}}')
    assert read("summaries", path) == [Reject(where="a/b", reason="surrogate")]


def test_a_huge_document_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(readers, "LONGEST", 5)
    (tmp_path / "a.py").write_text("123456")
    assert read("code", tmp_path / "a.py") == [Reject(where="a/b", reason="huge")]


def test_a_dictionary_is_read_by_pages(tmp_path: Path):
    path = zipped(tmp_path / "d.zip", "晨风\t早风。\n晨光\t曙光。\r\n闯祸\t惹祸。\nbroken\n".encode())
    assert read("dictionary-words", path) == [
        Reject(where="d.zip", reason="fields"),
        "晨风：早风。\n晨光：曙光。",
        "闯祸：惹祸。",
    ]
    path = zipped(tmp_path / "c.zip", "一\t一\t0\t1\t一\t一\tG\t[yī]1.数。\n\xff".encode() + b"\xff\n")
    assert read("dictionary-characters", path) == ["一\n[yī]1.数。", Reject(where="words.txt:2", reason="utf-8")]


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18])
def test_a_broken_zip_is_an_error(tmp_path: Path, data: bytes):
    (tmp_path / "d.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"not a whole archive .*\. Build the stage `sources` again"):
        read("dictionary-words", tmp_path / "d.zip")


def test_each_item_is_read_once(tmp_path: Path):
    path = tmp_path / "quiz.jsonl.gz"
    path.write_bytes(QUIZ)
    first, second = read_items([path])
    assert isinstance(first, type(second))
    assert (first.id, first.answer, first.passage, first.text) == ("q1", 1, None, "Which planet is red?\nMars")
    assert second.text == "Mars -- Mars is the fourth planet.\nis mars the fourth planet?\nyes"
    assert read("passages", path) == [Reject(where="q1", reason="no-passage"), "Mars -- Mars is the fourth planet."]
    assert read("questions", path)[0] == "Question: Which planet is red?\nAnswer: Mars"


def test_lines_that_hold_no_item_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "LONGEST", 200)
    path = tmp_path / "q.jsonl.gz"
    rows = [b"", b"[1]", b"{", b'{"native_id": 1}', b"\xff", b'{"a": "' + b"x" * 999 + b'"}']
    bad = [quiz_row(2, "Q", ["a"], 1), quiz_row(3, "Q", [1]), quiz_row(4, None, ["a"]), quiz_row(5, "Q", ["a"], -1)]  # type: ignore[arg-type, list-item]
    path.write_bytes(json_lines(*rows, *bad, quiz_row(6, "Q", ["a"])))
    *rejects, last = read_items([path])
    reasons = [found.reason for found in rejects if isinstance(found, Reject)]
    assert reasons == ["json", "no-object", "json", "fields", "json", "long-line", *["fields"] * 4]
    assert not isinstance(last, Reject)
    assert last.id == "6"


# Named, as gzip writes the time into its bytes: two workers of pytest must collect the same tests.
@pytest.mark.parametrize(
    "data", [b"plain", gzip.compress(b"{}" * 99)[:-12], gzip.compress(b"{}")[:5]], ids=["plain", "cut short", "cut in its head"]
)
def test_a_broken_gzip_is_an_error(tmp_path: Path, data: bytes):
    (tmp_path / "q.jsonl.gz").write_bytes(data)
    with pytest.raises(DataError, match="not a whole archive"):
        read("questions", tmp_path / "q.jsonl.gz")


@given(
    data=st.binary(max_size=200),
    packed=st.booleans(),
    reader=st.sampled_from(sorted(readers.READERS.keys() - {"reasoning-gym"})),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_a_reader(tmp_path: Path, data: bytes, packed: bool, reader: str):
    path = tmp_path / "any"
    path.write_bytes(gzip.compress(data) if packed else data)
    with contextlib.suppress(YulanError):
        assert all(isinstance(found, (str, Reject)) for found in read(reader, path))


def generator(tmp_path: Path, text: bytes | None = None) -> Path:
    import reasoning_gym

    module = Path(reasoning_gym.__file__).parent / "arithmetic/gcd.py"
    path = tmp_path / "reasoning-gym/reasoning_gym/arithmetic/gcd.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(text or module.read_bytes())
    return path


def test_generated_questions_depend_on_the_seed_alone(tmp_path: Path):
    path = generator(tmp_path)
    made = read("reasoning-gym", path, rows=5, seed=3)
    assert made == read("reasoning-gym", path, rows=5, seed=3)
    assert made != read("reasoning-gym", path, rows=5, seed=4)
    assert len(made) == 5
    assert all(isinstance(text, str) and text.startswith("Question: ") and "\nAnswer: " in text for text in made)


def test_a_generator_that_is_not_the_pinned_one_is_refused(tmp_path: Path):
    with pytest.raises(
        StateError, match=r"the installed reasoning_gym/arithmetic/gcd\.py is not the pinned one\. Run: make setup"
    ):
        read("reasoning-gym", generator(tmp_path, b"x = 1\n"), rows=1, seed=1)
