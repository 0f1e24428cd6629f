"""What a per-document stage works with: its finished partitions below `runs/`, and the runner that the profile names."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipelines.stage import Stage
from yulan import digest
from yulan.data import frames, partitions

CODE = ("yulan/data", "yulan/recipe", "yulan/schema.py", "pipelines/engine.py")
"""What the bytes of a partition may depend on, with the versions of libraries."""
VERSIONS = "requirements.lock"


@contextmanager
def engine(stage: Stage, *keys: str) -> Iterator[partitions.Partitions]:
    """The partitions that this stage finished under these keys and this code; another state of either has others."""
    told = stage.recipe.keys(*keys)
    folder = stage.layout.runs(stage.name, digest.of_json({"keys": told, "code": code(stage.layout.root)}))
    with partitions.kept(folder, keys=told, at_once=stage.profile.data.partitions) as found, runner(stage):
        yield found
        sys.stderr.write(f"{stage.name}: {len(found.now)} partitions done, {len(found.before)} were finished before\n")


def runner(stage: Stage) -> AbstractContextManager[None]:
    """Daft's runner for the time of the stage."""
    return frames.running(stage.profile.data, stage.layout.ray, stage.layout.root)


def code(root: Path) -> str:
    """Digest of the code that makes partitions, and of the libraries that it is locked to."""
    found = [path for name in CODE for path in ([root / name] if name.endswith(".py") else sorted((root / name).rglob("*.py")))]
    return digest.of_json({path.relative_to(root).as_posix(): digest.of_file(path) for path in [*found, root / VERSIONS]})
