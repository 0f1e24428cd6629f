import pytest

from yulan import errors
from yulan.errors import DataError, IntegrityError, YulanError, render


def test_a_message_says_what_where_and_the_cure_in_one_line():
    error = DataError("no document in it", where="sources.yaml: $.sources.en/wiki", cure="Correct its paths")
    assert str(error) == "Error: sources.yaml: $.sources.en/wiki: no document in it. Correct its paths"


def test_evidence_follows_indented_and_is_cut_at_twenty_rows():
    error = IntegrityError("does not match", cure="Restore it", evidence=[f"missing  {i}" for i in range(23)])
    lines = render(error).splitlines()
    assert lines[:2] == ["Error: does not match. Restore it", "  missing  0"]
    assert len(lines) == 22
    assert lines[-1] == "  … and 3 more"


def test_a_file_name_cannot_drive_the_readers_terminal():
    error = DataError("bad\x1b[2Jname", where="a\nb", cure="Rename\tit", evidence=["\r"])
    assert str(error) == "Error: a\\nb: bad\\x1b[2Jname. Rename\\tit\n  \\r"


def test_every_class_has_an_exit_code_of_its_own_and_the_tree_is_drawn_in_the_docstring():
    kinds = YulanError.__subclasses__()
    codes = {kind.__name__: kind.exit_code for kind in kinds if kind.__module__ == errors.__name__}
    assert len(set(codes.values())) == len(codes)
    assert not {0, 1, 2, 130} & set(codes.values())
    drawn = " ".join((errors.__doc__ or "").split())
    assert all(f"─ {name} {code} " in drawn for name, code in codes.items())


def test_a_cure_is_never_left_out():
    with pytest.raises(TypeError):
        YulanError("no cure")  # type: ignore[call-arg]
