"""What a per-document stage works with: its finished partitions below `runs/`, and the runner that the profile names."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipelines.stage import Stage
from yulan import digest
from yulan.data import frames, partitions

HOME = Path(__file__).resolve().parents[1]
CODE = ("yulan/data", "yulan/recipe", "yulan/schema.py", "pipelines/engine.py", "requirements.lock")
"""What the bytes of a partition may depend on: code, its tables, and the versions of libraries."""
READ = frozenset({".py", ".txt"})


@contextmanager
def engine(stage: Stage, *keys: str) -> Iterator[partitions.Partitions]:
    """The partitions that this stage finished under these keys and this code; another state of either has others."""
    told = stage.recipe.keys(*keys)
    folder = stage.layout.runs(stage.name, digest.of_json({"keys": told, "code": code()}))
    with partitions.kept(folder, keys=told, at_once=stage.profile.data.partitions) as found, runner(stage):
        yield found
        sys.stderr.write(f"{stage.name}: {len(found.now)} partitions done, {len(found.before)} were finished before\n")


def runner(stage: Stage) -> AbstractContextManager[None]:
    """Daft's runner for the time of the stage."""
    return frames.running(stage.profile.data, stage.layout.ray, stage.layout.root)


def code() -> str:
    """Digest of the code that makes partitions, and of the libraries that it is locked to."""
    found = [path for name in CODE for path in sorted((HOME / name).rglob("*")) if path.suffix in READ]
    found += [HOME / name for name in CODE if (HOME / name).is_file()]
    return digest.of_json({path.relative_to(HOME).as_posix(): digest.of_file(path) for path in found})
