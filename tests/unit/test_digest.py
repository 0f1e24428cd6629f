import hashlib
import subprocess
from pathlib import Path

import pytest

from yulan import digest


def test_equal_values_have_one_canonical_form():
    assert digest.canonical({"b": [1, 0.1], "a": "人"}) == '{"a":"人","b":[1,0.1]}'.encode()
    assert digest.of_json({"a": 1, "b": 2}) == digest.of_json({"b": 2, "a": 1})


def test_not_a_number_has_no_canonical_form():
    with pytest.raises(ValueError, match="Out of range"):
        digest.canonical(float("inf"))


def test_a_file_a_stream_and_bytes_agree(tmp_path: Path):
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    assert (
        digest.of_file(tmp_path / "a")
        == digest.of_mapped(tmp_path / "a")
        == digest.of_bytes(data)
        == digest.of_parts([data[:7], data[7:]])
    )
    assert digest.of_bytes(data) == hashlib.sha256(data).hexdigest()
    (tmp_path / "empty").touch()
    assert digest.of_mapped(tmp_path / "empty") == digest.of_file(tmp_path / "empty")


def test_a_document_is_the_same_whatever_its_line_ends_and_another_for_any_other_change():
    assert digest.of_text("a\r\nb\rc") == digest.of_text("a\nb\nc")
    assert digest.of_text("a\n") != digest.of_text("a")
    assert digest.of_text("a\u3000b") != digest.of_text("a b")


def test_half_a_surrogate_has_an_id_too():
    assert len(digest.of_text("\ud800")) == 64


def test_a_chain_covers_every_row_before():
    rows = [{"step": 1}, {"step": 2}]
    first = digest.chained("", rows[0])
    assert digest.chained(first, rows[1]) != digest.chained(digest.chained("", {"step": 9}), rows[1])


def test_a_small_file_has_gits_own_id(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"words\n")
    told = subprocess.run(["git", "hash-object", tmp_path / "a"], capture_output=True, text=True, check=True)
    assert digest.git_blob(b"words\n") == told.stdout.strip()


def test_a_keyed_digest_needs_its_key():
    assert digest.keyed(b"one", b"x") != digest.keyed(b"two", b"x")
    assert digest.same(digest.keyed(b"one", b"x"), digest.keyed(b"one", b"x"))
    assert not digest.same("a", "b")
