"""A partition is done once; what is not as its manifest lists is done again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.data.corpus_kit import contents
from yulan import files
from yulan.data.partitions import LOCK, Made, Partition, Partitions, kept, passing, sweep
from yulan.errors import DataError, StateError
from yulan.layout import Layout

Make = Callable[..., list[Made]]


def asked(names: str, inputs: str = "a") -> list[Partition]:
    def work(name: str) -> Callable[[Path], dict[str, object]]:
        def fill(into: Path) -> dict[str, object]:
            files.write_text(into / "words.txt", f"{name} of {inputs}")
            return {"name": name}

        return fill

    return [Partition(name=f"en/{name}", inputs={"part": inputs}, work=work(name)) for name in names]


def run(folder: Path, wanted: list[Partition], keys: str = "k", at_once: int = 1) -> tuple[list[Made], list[str]]:
    """What is made, and the names of those that were done."""
    with kept(folder, keys={"key": keys}, at_once=at_once) as partitions:
        made = list(partitions.make(wanted))
        return made, sorted(partitions.now)


@pytest.mark.parametrize("at_once", [1, 3])
def test_partitions_come_in_the_order_asked_for_and_are_done_once(at_once: int, tmp_path: Path):
    made, done = run(tmp_path, asked("cab"), at_once=at_once)
    assert [(each.name, each.summary["name"]) for each in made] == [("en/c", "c"), ("en/a", "a"), ("en/b", "b")]
    assert done == ["en/a", "en/b", "en/c"]
    again, done = run(tmp_path, asked("cab"), at_once=at_once)
    assert (again, done) == (made, [])


def spoil_bytes(folder: Path) -> None:
    (folder / "en/b/data/words.txt").write_text("b of b")


def spoil_manifest(folder: Path) -> None:
    path = folder / "en/b/manifest.json"
    path.write_bytes(path.read_bytes()[:-20])


def take_away(folder: Path) -> None:
    (folder / "en/b/data/words.txt").unlink()


def leave_more(folder: Path) -> None:
    (folder / "en/b/data/more.txt").write_text("left by a kill")


def put_a_link(folder: Path) -> None:
    (folder / "en/b/data/more.txt").symlink_to(folder)


@pytest.mark.parametrize("spoil", [spoil_bytes, spoil_manifest, take_away, leave_more, put_a_link])
def test_a_partition_that_is_not_as_its_manifest_lists_is_done_again(spoil: Callable[[Path], None], tmp_path: Path):
    run(tmp_path, asked("abc"))
    before = contents(tmp_path)
    spoil(tmp_path)
    assert run(tmp_path, asked("abc"))[1] == ["en/b"]
    assert contents(tmp_path) == before


def test_other_inputs_and_other_keys_are_other_partitions(tmp_path: Path):
    run(tmp_path, asked("ab"))
    assert run(tmp_path, asked("a") + asked("b", "other"))[1] == ["en/b"]
    assert run(tmp_path, asked("a"), keys="changed")[1] == ["en/a"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_ends_the_work_and_leaves_what_was_finished(at_once: int, tmp_path: Path):
    def fail(into: Path) -> dict[str, object]:
        files.write_text(into / "half.txt", "half")
        raise DataError("not to be read", cure="Give another")

    wanted = [*asked("a"), Partition(name="en/b", inputs={"part": "a"}, work=fail), *asked("c")]
    with pytest.raises(DataError, match="not to be read"):
        run(tmp_path, wanted, at_once=at_once)
    done = run(tmp_path, asked("abc"))[1]
    assert "en/a" not in done
    assert "en/b" in done


def test_one_process_works_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yulan.data.partitions.PATIENCE", 0.0)
    with (
        kept(tmp_path, keys={}, at_once=1),
        pytest.raises(StateError, match="another process works in this folder"),
        kept(tmp_path, keys={}, at_once=1),
    ):
        pass


def test_nothing_is_kept_of_passing_partitions(tmp_path: Path):
    def made(partitions: Partitions) -> Path:
        (one,) = partitions.make(asked("a"))
        files.link(one.data / "words.txt", tmp_path / "out/words.txt")
        return one.data

    with passing(tmp_path / "out") as partitions:
        data = made(partitions)
    assert not data.exists()
    assert contents(tmp_path) == {"out/words.txt": b"a of a"}


def test_partitions_are_swept_once_their_stage_is_sealed_and_nobody_works_there(tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="nano")
    for stage in ("raw", "clean"):
        run(layout.runs(stage, "d" * 64), asked("ab"))
    files.write_json(layout.stage("raw").manifest, {})
    linked = layout.runs("raw", "d" * 64) / "en/a/data/words.txt"
    files.link(linked, layout.stage("raw").data / "words.txt")
    with kept(layout.runs("raw", "d" * 64), keys={"key": "k"}, at_once=1):
        assert sweep(layout) == []
    freed = sum(p.stat().st_size for p in layout.runs("raw", "d" * 64).rglob("*") if p.is_file()) - os.path.getsize(linked)
    assert sweep(layout) == [(Path("runs/nano/raw/dddddddddddddddd"), freed)]
    assert not layout.runs("raw", "d" * 64).exists()
    assert (layout.runs("clean", "d" * 64) / LOCK).exists()
    assert (layout.stage("raw").data / "words.txt").read_text() == "a of a"
