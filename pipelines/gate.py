"""Judge the bundle alone, rule by rule."""

import sys
from collections import Counter

from pipelines.stage import Stage, run
from yulan.errors import IntegrityError
from yulan.release.gate.judge import judge
from yulan.release.verdict import write_verdict


def work(stage: Stage) -> None:
    bundle, made = stage.open("bundle")
    verdict = judge(bundle.data, made.digest)
    write_verdict(stage.place.data, verdict)
    if verdict.failed:
        # DVC keeps nothing of a failed stage, so the reasons are printed.
        raise IntegrityError(
            f"{len(verdict.failed)} of {len(verdict.rules)} rules fail",
            where=bundle.folder.relative_to(stage.layout.root),
            cure="Cure what they name, then run dvc repro again",
            evidence=[f"{rule.id}: {row}" for rule in verdict.failed for row in rule.evidence],
        )
    for rule in verdict.rules:
        # What was waived, what licences ask for and what was counted is for people, not for DVC.
        sys.stdout.writelines(f"{rule.id}: {row}\n" for row in rule.evidence)
    counts = Counter(rule.verdict for rule in verdict.rules)
    stage.seal(summary={"rules": len(verdict.rules), "passed": counts["pass"], "waived": counts["waived"]})


if __name__ == "__main__":
    run("gate", work)
