"""A release's provenance as a statement: SLSA Provenance v1 in an in-toto Statement v1, signed with the records it lies in.

Sources: https://slsa.dev/spec/v1.0/provenance and https://in-toto.io/Statement/v1. The build type is our own; what its parameters
mean is in docs/formats/release.md.
"""

from collections.abc import Mapping
from typing import Any

from yulan.recipe.sources import Package
from yulan.release.release import Release

STATEMENT = "provenance.json"
BUILD_TYPE = "urn:yulan:build:dvc-repro:v1"


def statement(
    release: Release, *, commit: str, lock: str, packages: Mapping[str, Package], started: str | None, finished: str | None
) -> dict[str, Any]:
    """Subjects are the content digests of every revision; what they depend on are packages, the commit and dvc.lock."""
    subjects = [
        {"name": f"{part}/{name}", "digest": {"sha256": digest}}
        for part in ("data", "states", "model")
        for name, digest in sorted(release.part(part).revisions.items())  # type: ignore[arg-type]
    ]
    dependencies = [{"name": "git", "digest": {"gitCommit": commit}}, {"name": "dvc.lock", "digest": {"sha256": lock}}]
    dependencies += [{"name": package.file, "digest": {"sha256": package.sha256}} for _, package in sorted(packages.items())]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"recipe": release.recipe},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": "urn:yulan:clone"},
                "metadata": {name: time for name, time in {"startedOn": started, "finishedOn": finished}.items() if time},
            },
        },
    }
