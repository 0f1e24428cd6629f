"""What `publish` asks of the clone: the gate's verdict on this very bundle, a committed tree, a graph with nothing to do."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from yulan import manifest
from yulan.errors import StateError
from yulan.layout import Layout
from yulan.manifest import Manifest
from yulan.recipe.removed import REMOVED
from yulan.release.release import Release, read_release
from yulan.release.verdict import Verdict, read_verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A bundle that may go out."""

    bundle: Path
    manifest: Manifest
    release: Release
    verdict: Verdict


def require_judged(layout: Layout) -> Ready:
    """The bundle, whole, with a verdict that passes it.

    Raises: StateError: not built, judged as another bundle, or failed; IntegrityError: a byte differs.
    """
    bundle, gate = layout.stage("bundle"), layout.stage("gate")
    for place in (bundle, gate):
        if not place.manifest.exists() or not place.data.exists():
            raise StateError("is not there", where=place.folder.relative_to(layout.root), cure="Build it with: dvc repro gate")
    made = manifest.require_whole(bundle)
    manifest.require_whole(gate)
    verdict = read_verdict(gate.data)
    if verdict.bundle != made.digest:
        raise StateError(
            "the gate judged another bundle", where=gate.folder.relative_to(layout.root), cure="Judge this one: dvc repro gate"
        )
    if verdict.failed or verdict.verdict != "pass":
        raise StateError(
            "the gate failed this bundle",
            where=gate.folder.relative_to(layout.root),
            cure="Cure what its rules name, then: dvc repro gate",
            evidence=[f"{rule.id}: {row}" for rule in verdict.failed for row in rule.evidence],
        )
    return Ready(bundle=bundle.data, manifest=made, release=read_release(bundle.data), verdict=verdict)


def require_committed(root: Path) -> str:
    """The commit that every tracked file but dvc.lock and artifacts/ equals.

    Raises: StateError: no git, or a file differs; each is named.
    """
    head = _git(root, "rev-parse", "--verify", "HEAD").strip()
    changed = _git(root, "diff", "--name-only", "HEAD", "--", ".", ":(exclude)dvc.lock", ":(exclude)artifacts").splitlines()
    if changed:
        raise StateError("the tree is dirty", where=root.name, cure="Commit these files, then publish again", evidence=changed)
    return head


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StateError("git is not installed", cure="Install it, then publish again") from None
    if done.returncode:
        raise StateError(
            "git does not know this folder", where=root.name, cure="Publish from a clone with at least one commit",
            evidence=done.stderr.splitlines()[:3],
        )  # fmt: skip
    return done.stdout


def require_built(root: Path) -> None:
    """A stage that read text before the last removal on request may stay as it is: the bundle is without what was removed.

    Raises: StateError: DVC would run another stage, or an output is not what dvc.lock names.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=root, capture_output=True, text=True, check=False
    )
    try:
        changed = json.loads(done.stdout)
    except ValueError:
        rows = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise StateError(
            "dvc status failed", where=root.name, cure="Cure what dvc names, then publish again", evidence=rows
        ) from None
    changed = {stage: rows for stage, rows in changed.items() if not _by_removal(rows)}
    if changed:
        raise StateError(
            "dvc.lock is not up to date", where="dvc.lock", cure="Run: dvc repro, then publish again", evidence=sorted(changed)
        )


def _by_removal(rows: object) -> bool:
    """Whether removed.yaml is all that changed for a stage, as `dvc status --json` tells it."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() == {"changed deps"} for row in rows):
        return False
    changed = [(name, how) for row in rows for name, how in row["changed deps"].items()]
    return bool(changed) and all(name.endswith(f"/{REMOVED}") and how == "modified" for name, how in changed)
