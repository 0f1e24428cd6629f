"""The record half of a release: what differs between equal builds, and travels beside the states."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from yulan import digest, files, manifest
from yulan.layout import MANIFEST, Layout
from yulan.recipe.sources import load_sources
from yulan.release.lineage.statement import STATEMENT, statement
from yulan.release.ready import Ready
from yulan.release.verdict import VERDICT
from yulan.schema import load_json

MANIFESTS = "manifests"
"""In the records: manifests of the stages after the bundle's inputs, which `lineage/` has not."""


def gather(ready: Ready, layout: Layout, commit: str) -> Path:
    """The record half that travels on `main` of the states: records of every artifact, verdict, dvc.lock, git commit.

    It is outside every content list and has its own, so that two builds of equal contents keep equal digests.
    """
    folder = layout.root / "runs" / layout.recipe / "records"
    with files.new_folder(folder) as made:
        files.link(layout.stage("gate").data / VERDICT, made / VERDICT)
        files.copy(layout.root / "dvc.lock", made / "dvc.lock")
        files.write_json(made / "commit.json", {"commit": commit})
        for stage in ("bundle", "gate", "report"):
            if layout.stage(stage).manifest.exists():
                files.copy(layout.stage(stage).manifest, made / MANIFESTS / f"{stage}.json")
        for path in sorted(layout.artifacts.rglob(MANIFEST)):
            if "data" in path.relative_to(layout.artifacts).parts:
                continue
            record = layout.record(manifest.read(path).digest)
            if record.exists():
                files.copy(record, made / record.name)
        files.write_json(made / STATEMENT, _statement(ready, layout, commit, made))
        listed = manifest.Manifest(
            format=manifest.FORMAT,
            stage="records",
            name=layout.recipe,
            files=manifest.survey(made),
            inputs={"bundle": ready.manifest.digest},
            keys={},
            summary={},
            determinism=None,
        )
        manifest.write(made / MANIFEST, listed)
    return folder


def _statement(ready: Ready, layout: Layout, commit: str, records: Path) -> dict[str, Any]:
    """Built from the records that were gathered, so that a rerun says the same."""
    told = [load_json(path) for path in sorted(records.glob("*.json")) if path.stem.isalnum() and len(path.stem) == 64]
    ends = [datetime.fromisoformat(each["started"]) + timedelta(seconds=each["seconds"]) for each in told]
    sources = layout.recipe_folder / "sources.yaml"
    return statement(
        ready.release,
        commit=commit,
        lock=digest.of_file(layout.root / "dvc.lock"),
        packages=load_sources(sources).packages if sources.is_file() else {},
        started=min((each["started"] for each in told), default=None),
        finished=max(ends).isoformat(timespec="seconds") if ends else None,
    )
