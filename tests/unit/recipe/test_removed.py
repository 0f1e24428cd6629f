"""removed.yaml: what may stand in it, and what does not."""

from pathlib import Path

import pytest

from yulan.errors import RecipeError
from yulan.recipe import load_recipe
from yulan.recipe.removed import NOTHING, Removal, load_removed, write_removed

ID, OTHER = "a" * 64, "b" * 64
ENTRY = "{{id: {id}, date: '{date}', reason: {reason}, goes_with: null}}"


def entry(identity: str = ID, date: str = "2026-11-25", reason: str = "author") -> str:
    return ENTRY.format(id=identity, date=date, reason=reason)


def test_what_is_entered_is_read_again_in_the_order_of_requests(tmp_path: Path):
    asked = Removal(id=OTHER, date="2026-11-25", reason="court", goes_with=None)
    copy = Removal(id=ID, date="2026-11-25", reason="court", goes_with=OTHER)
    write_removed(tmp_path / "removed.yaml", NOTHING.with_more((asked, copy)))
    found = load_removed(tmp_path / "removed.yaml")
    assert found.documents == (asked, copy)
    assert (found.ids, found.find(ID), found.find("c" * 64)) == ({ID, OTHER}, copy, None)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([entry(), entry()], r"\$\.documents\[1\]\.id: document aaaaaaaaaaaa stands twice\. Leave the first entry"),
        ([entry(date="2026-02-30")], r"\$\.documents\[0\]\.date: 2026-02-30 is no day\. Write it as 2026-11-25"),
        ([entry(identity="A" * 64)], r"\$\.documents\[0\]\.id: 'A+' does not match"),
        ([entry(reason="wish")], r"\$\.documents\[0\]\.reason: 'wish' is not one of"),
        ([entry().replace("goes_with: null", "name: someone")], r"\$\.documents\[0\]"),
    ],
)
def test_an_entry_that_is_wrong_is_named(tmp_path: Path, documents: list[str], words: str):
    path = tmp_path / "removed.yaml"
    path.write_text("format: 1\ndocuments:\n" + "".join(f"  - {each}\n" for each in documents))
    with pytest.raises(RecipeError, match=words) as told:
        load_removed(path)
    assert "\n" not in str(told.value)


def test_a_recipe_says_what_was_removed_if_it_is_nothing(copied: Path):
    assert load_recipe(copied, "nano").removed == NOTHING
    (copied / "recipes/nano/removed.yaml").unlink()
    with pytest.raises(RecipeError, match="the recipe does not say what was removed"):
        load_recipe(copied, "nano")
