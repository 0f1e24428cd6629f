"""An evaluation judged by criteria as an in-toto statement with the predicate Test Result v0.1; its subject is what was asked.

Source: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from typing import Any

from yulan.evaluate.criteria import Judged
from yulan.evaluate.evaluated import NAME, Evaluated

STATEMENT = "statement.json"
VERDICTS = ("pass", "fail", "not run")


def statement(made: Evaluated, judged: Judged) -> dict[str, Any]:
    """Tests are criteria, named `task metric`. One whose task was not run warns: nobody knows whether it holds."""
    named = {verdict: [f"{row.task} {row.metric}" for row in judged.rows if row.verdict == verdict] for verdict in VERDICTS}
    result = "FAILED" if named["fail"] else "WARNED" if named["not run"] else "PASSED"
    descriptors = {"suite": judged.suite, "criteria": judged.criteria, NAME: judged.evaluated}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": made.subject.name, "digest": {"sha256": made.subject.digest}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": result,
            "configuration": [{"name": name, "digest": {"sha256": value}} for name, value in descriptors.items()],
            "passedTests": named["pass"],
            "warnedTests": named["not run"],
            "failedTests": named["fail"],
        },
    }
