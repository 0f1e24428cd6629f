"""From here on each document has its id; the same packages give the same bytes."""

import time
from pathlib import Path

import pytest

from tests.unit.data.corpus_kit import MEMBERS, make_wheel, source
from yulan import digest, manifest
from yulan.data import frames
from yulan.data.drops import Flow, Reason, Sample, join
from yulan.data.raw import write_raw
from yulan.data.sources import unpack
from yulan.errors import DataError
from yulan.layout import Layout


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    package = make_wheel(tmp_path, "pack", MEMBERS | {"pack/bad.py": b"\xff"})
    unpack(tmp_path / package.file, [("$", ("**",), ())], tmp_path / "data/pack")
    return tmp_path / "data"


def test_an_id_is_the_digest_of_the_text(packages: Path, tmp_path: Path):
    drops = write_raw({"code/pack": source(), "synthetic/x": source(package=None)}, packages, tmp_path / "raw")
    table = frames.read(frames.parts(tmp_path / "raw", "code/pack")).to_pylist()
    assert [row["id"] for row in table] == sorted(digest.of_text(row["text"]) for row in table)
    assert {row["text"] for row in table} == {MEMBERS["pack/a.py"], MEMBERS["pack/__init__.py"]}
    flow = drops.sources["code/pack"]
    assert (flow.documents, flow.kept, flow.reasons["utf-8"].samples[0].id) == (3, 2, "bad.py")
    assert list(drops.sources) == ["code/pack"]


def test_a_document_that_was_removed_is_counted_without_its_text_in_whatever_source(packages: Path, tmp_path: Path):
    gone = digest.of_text(str(MEMBERS["pack/a.py"]))
    both = {"code/pack": source(), "code/again": source()}
    drops = write_raw(both, packages, tmp_path / "raw", removed=frozenset({gone}))
    for name in both:
        assert gone not in frames.read(frames.parts(tmp_path / "raw", name))["id"].to_pylist()
        assert drops.sources[name].reasons["removed-on-request"] == Reason(count=1, samples=(Sample(id=gone, text=""),))
    with pytest.raises(DataError, match=r"no document in it\. Take it out of the mixes: all was removed on request"):
        write_raw({"code/pack": source(paths=("pack/a.py",))}, packages, tmp_path / "none", removed=frozenset({gone}))


def test_a_source_without_documents_stops_the_build(packages: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"sources\.code/pack: no document in it\. Correct its paths or its reader"):
        write_raw({"code/pack": source(paths=("pack/bad.py",))}, packages, tmp_path / "raw")


def test_two_builds_at_different_times_have_one_identity(packages: Path, tmp_path: Path):
    made = []
    for name in ("one", "two"):
        place = Layout(root=tmp_path / name, recipe="nano").stage("raw")
        drops = write_raw({"code/pack": source()}, packages, place.data)
        made.append(
            manifest.seal(
                place, Layout(root=tmp_path / name, recipe="nano"), stage="raw", inputs={}, keys={}, summary=drops.summary()
            )
        )
        time.sleep(1.1)
    assert made[0].digest == made[1].digest


def test_flows_of_parts_add_up():
    def part(count: int, identity: str) -> Flow:
        samples = tuple(Sample(id=f"{identity}{n}", text="") for n in range(min(count, 10)))
        return Flow(documents=count + 1, kept=1, characters=2, bytes=3, reasons={"short": Reason(count=count, samples=samples)})

    whole = join([part(7, "a"), part(12, "b")])
    assert (whole.documents, whole.kept, whole.characters, whole.bytes) == (21, 2, 4, 6)
    assert whole.reasons["short"].count == 19
    assert [sample.id for sample in whole.reasons["short"].samples] == [*(f"a{n}" for n in range(7)), "b0", "b1", "b2"]
