"""What dvc.lock says that a build left: outputs by the stage that made them."""

import re
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import IntegrityError
from yulan.layout import DATA
from yulan.schema import load_yaml

MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    target: str
    """As DVC calls the stage: `train@phase-01`."""
    path: str
    """Of the clone."""
    md5: str
    """As DVC names it; a folder's ends with `.dir`."""
    size: int
    """Bytes."""

    @property
    def data(self) -> bool:
        """Whether it is the stage's data; else its manifest, which DVC does not cache."""
        return self.path.endswith(f"/{DATA}")

    @property
    def list(self) -> str:
        """The stage's name in a release's `lineage/`: `train/phase-01`."""
        return self.target.replace("@", "/")


def read_lock(path: Path, recipe: str) -> tuple[Output, ...]:
    """Outputs in the order of their paths.

    Raises: IntegrityError: it is no dvc.lock of this recipe, or names what does not belong to a stage.
    """
    raw = load_yaml(path)
    shape = re.compile(rf"artifacts/{recipe}/([a-z]+)(?:/([a-z0-9-]+))?/({DATA}|manifest\.json)")
    found = []
    try:
        for target, stage in raw["stages"].items():
            for out in stage["outs"]:
                md5, told = str(out["md5"]), shape.fullmatch(out["path"])
                named = "@".join(part for part in told.groups()[:2] if part) if told else None
                if named != target or not MD5.fullmatch(md5):
                    raise ValueError(out["path"])
                found.append(Output(target=target, path=out["path"], md5=md5, size=int(out["size"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"is no dvc.lock of the recipe {recipe} ({str(error)[:80]})"
        raise IntegrityError(what, where=path.name, cure="Do not use this release") from None
    return tuple(sorted(found, key=lambda out: out.path))
