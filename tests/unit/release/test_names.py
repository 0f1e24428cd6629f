"""Addresses and revision names."""

import pytest

from yulan.errors import StateError
from yulan.release.names import parse, repo, revision, step_of


def test_a_revision_tells_its_step_and_its_variant():
    assert revision("phase-03-short", 320) == "phase-03-short-step-000320"
    assert step_of("phase-26-4k-step-262198") == 262198
    assert step_of("main") is None
    assert step_of("phase-3-step-000001") is None


@pytest.mark.parametrize(
    ("text", "id", "kind", "at"),
    [
        ("hf://a/B", "a/B", "model", "main"),
        ("hf://a/B@final-short", "a/B", "model", "final-short"),
        ("hf://a/B-states@x", "a/B-states", "model", "x"),
        ("hf://a/B-data", "a/B-data", "dataset", "main"),
        ("hf://datasets/a/B-data@final", "a/B-data", "dataset", "final"),
    ],
)
def test_any_of_the_three_names_is_an_address(text: str, id: str, kind: str, at: str):
    address = parse(text)
    assert (address.repo.id, address.repo.kind, address.revision, address.name) == (id, kind, at, "a/B")
    assert parse(str(address)) == address


BAD = "a/B", "hf://a/../b", "hf://--flag/b", "hf://a/b@../x", "hf://a/b@--x", "hf://a", "hf://a/b/c", "hf://a/b@x//y", "hf://a /b"


@pytest.mark.parametrize("text", BAD)
def test_a_name_that_could_reach_elsewhere_is_refused(text: str):
    with pytest.raises(StateError, match="not an address"):
        parse(text)


def test_the_model_has_the_plain_name():
    assert [str(repo("a/B", part)) for part in ("model", "states", "data")] == ["a/B", "a/B-states", "datasets/a/B-data"]
