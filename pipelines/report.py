"""One offline page about all of it."""

import platform

from pipelines.stage import Stage, run
from yulan import digest, files, manifest
from yulan.manifest import Manifest
from yulan.release.verdict import VERDICT, read_verdict
from yulan.report.facts import TABLES, read_facts
from yulan.report.lineage import trace
from yulan.report.page import Rule, Subject, render

PAGE = "index.html"


def work(stage: Stage) -> None:
    drawn, _ = stage.open("figures", only=TABLES)
    judged, _ = stage.open("gate", only=[VERDICT])

    def read(name: str) -> Manifest:
        origin, _, phase = name.partition("@")
        return manifest.read(stage.layout.stage(origin, phase or None).manifest)

    verdict = read_verdict(judged.data)
    artifacts = trace(read, "gate")
    subject = Subject(
        book=stage.book,
        facts=read_facts(drawn.data),
        artifacts=artifacts,
        rules=tuple(Rule(sentence=rule.sentence, verdict=rule.verdict) for rule in verdict.rules),
        environment=environment(stage, artifacts),
    )
    files.write_text(stage.place.data / PAGE, render(subject))
    stage.seal(summary={"artifacts": len(artifacts), "verdict": verdict.verdict})


def environment(stage: Stage, artifacts: dict[str, Manifest]) -> dict[str, str]:
    """What the bytes after `Order` depend on besides recipe and code."""
    found = {"Python": platform.python_version(), "requirements.lock": digest.of_file(stage.layout.root / "requirements.lock")}
    classes = dict.fromkeys(made.determinism for made in artifacts.values() if made.determinism is not None)
    for each in classes:
        found["torch"] = each.torch
        ranks = f"{each.ranks} ranks" if each.ranks else "any number of ranks"
        found["training ran on"] = f"{each.isa}, {ranks} of {each.threads} threads"
    return found


if __name__ == "__main__":
    run("report", work)
