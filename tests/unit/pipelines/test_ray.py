"""On a Ray cluster, started or joined, the stages give the bytes that they give in their own process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.data.conftest import sentences
from tests.unit.data.corpus_kit import contents
from tests.unit.pipelines.text_clone import ended, make_text_clone, stage, start, wipe
from yulan import files
from yulan.data import cluster, frames
from yulan.data.partitions import LOCK
from yulan.errors import StateError
from yulan.params import write_params

STAGES = ("raw", "clean", "dedup", "scored", "decontaminated")
JOINED = """
import sys
from pathlib import Path
from yulan.data import frames
from yulan.profile import Data
from tests.unit.pipelines.test_ray import lengths
with frames.running(Data(runner="ray", address=sys.argv[1], partitions=1), Path(sys.argv[2]), Path.cwd()):
    print(lengths(Path(sys.argv[2])))
"""


def lengths(folder: Path) -> list[int]:
    import pyarrow as pa

    def size(texts: list[str]) -> dict[str, list[int]]:
        return {"size": [len(text) for text in texts]}

    found: list[int] = frames.each(frames.parts(folder, "a"), size, pa.schema([("size", pa.int64())]))["size"].to_pylist()
    return found


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.large
def test_a_cluster_that_a_stage_starts_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path: Path):
    # Deeper than a socket's path may be long.
    clone = tmp_path / ("a folder whose name is long enough to make socket paths too long" * 2)
    clone.mkdir()
    make_text_clone(clone)
    alone = {}
    for name in STAGES:
        process = start(clone, name)
        assert process.wait() == 0, process.stderr.read() if process.stderr else ""
        alone[name] = contents(clone / f"artifacts/tiny/{name}")
    files.remove(clone / "runs")
    for name in STAGES:
        wipe(clone, name)
    write_params(clone, stage(clone, "raw", "cpu-2-ray").params)
    home, temporary = files.make_folder(tmp_path / "home"), files.make_folder(tmp_path / "temporary")
    for name in STAGES:
        process = start(clone, name, HOME=str(home), TMPDIR=str(temporary))
        if name == "dedup":
            assert process.wait() == 0, process.stderr.read() if process.stderr else ""
        else:
            done, before = ended(process)
            assert done >= 12
            assert before == 0
        assert contents(clone / f"artifacts/tiny/{name}") == alone[name], name
        assert (left(home), left(temporary), left(clone / ".cache/ray")) == ([], [], [])
    for lock in (clone / "runs").rglob(LOCK):
        os.close(files.lock(lock))


@pytest.mark.large
def test_a_cluster_that_is_there_is_joined_and_left_alone(tmp_path: Path):
    texts = sentences(3, 500)
    import pyarrow as pa

    from yulan import digest

    table = pa.table({"id": [digest.of_text(t) for t in texts], "text": texts, "source": ["a"] * len(texts)})
    frames.write(tmp_path, "a", table)
    folder = tmp_path / "head"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    environment = os.environ | cluster.ENVIRONMENT | {"PYTHONPATH": os.getcwd()}
    ray = [str(Path(sys.executable).with_name("ray"))]
    short = f"/proc/{os.getpid()}/fd/{handle}"
    head = [*ray, "start", "--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={short}", "--block"]
    with (tmp_path / "head.log").open("w") as log:
        served = subprocess.Popen(head, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        address = told_address(tmp_path / "head.log", served)
        for _ in range(2):
            command = [sys.executable, "-c", JOINED, address, str(tmp_path)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[-1] == str(lengths(tmp_path))
            assert served.poll() is None
    finally:
        served.terminate()
        served.wait()
        os.close(handle)


def told_address(log: Path, served: "subprocess.Popen[bytes]") -> str:
    import re
    import time

    for _ in range(600):
        found = re.search(r"--address='([^']+)'", log.read_text())
        if found:
            return found[1]
        assert served.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_without_ray_the_profile_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = r"profile: \$\.data\.runner: Ray is not installed\. Run: \.venv/bin/pip install '\.\[ray\]', or write native"
    with pytest.raises(StateError, match=message) as found, cluster.connected(None, tmp_path / "ray", tmp_path):
        pass
    assert "\n" not in str(found.value)
    assert not (tmp_path / "ray").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://[::1]:1", "nowhere", "127.0.0.1:port"])
def test_a_cluster_that_does_not_answer_is_named(address: str, tmp_path: Path):
    with (
        pytest.raises(StateError, match=r"no Ray cluster can be used\. Start it with: ray start --head") as found,
        cluster.connected(address, tmp_path, tmp_path),
    ):
        pass
    assert found.value.where == address
