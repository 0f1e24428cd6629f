"""What came out equal, close, different, and what nobody checked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from yulan.errors import DataError, IntegrityError
from yulan.manifest import Determinism
from yulan.release.dsse import STATEMENT, TEST_RESULT
from yulan.schema import check, plain, structure

Verdict = Literal["equal", "close", "different", "not checked"]
Result = Literal["PASSED", "WARNED", "FAILED"]
ORDER: tuple[Verdict, ...] = ("different", "close", "not checked", "equal")
PACKAGE, CLASS = "package ", "class"
"""How parts about the environment are called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One thing that was compared."""

    name: str
    """`files model/main`, `package torch`, `train@phase-01`, `model/main`, `replay phase-02`."""
    verdict: Verdict
    published: str | None
    """Digest or version; null: not told."""
    found: str | None
    """The same of what came out here; null: nothing did."""
    reason: str
    """What the verdict rests on, or why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """reproduction.json."""

    format: int
    release: str
    """`hf://OWNER/NAME@REVISION`."""
    recipe: str
    commit: str
    """Of git."""
    lock: str
    """sha256 of the release's dvc.lock."""
    revisions: Mapping[str, str]
    """Content digest of every published revision, by `part/revision`."""
    signed: str | None
    """Fingerprint of the key that the publisher signed with; null: the signature was not looked at."""
    published: Determinism | None
    """The class that the release was trained in."""
    here: Determinism
    """The class of this machine under the release's profile."""
    replayed: Mapping[str, Any] | None
    """What `yulan replay --json` printed; null: no step was trained again."""
    parts: tuple[Part, ...]

    @property
    def same(self) -> bool:
        """Whether versions and class are the publisher's, so that every bit should be."""
        return self.published == self.here and all(p.verdict == "equal" for p in self.parts if p.name.startswith(PACKAGE))

    @property
    def result(self) -> Result:
        """FAILED: a bit that should be equal is not. WARNED: bits differ on another class of machine, or are close."""
        found = {part.verdict for part in self.parts if not part.name.startswith((PACKAGE, CLASS))}
        if "different" in found:
            return "FAILED" if self.same else "WARNED"
        return "WARNED" if "close" in found or not self.same else "PASSED"


def report_json(made: Reproduction) -> Any:
    """Raises: DataError: a value breaks the schema."""
    check(plain(made), "reproduction", "reproduction.json", DataError)
    return plain(made)


def statement(made: Reproduction) -> dict[str, Any]:
    """An in-toto Test Result on the release's revisions; `reproduction` holds the whole report."""
    names = {verdict: [p.name for p in made.parts if p.verdict == verdict] for verdict in ("equal", "close", "different")}
    configuration = [
        {"name": "git", "digest": {"gitCommit": made.commit}},
        {"name": "dvc.lock", "digest": {"sha256": made.lock}},
    ]
    told = {"passedTests": names["equal"], "warnedTests": names["close"], "failedTests": names["different"]}
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": value}} for name, value in sorted(made.revisions.items())],
        "predicateType": TEST_RESULT,
        "predicate": {"result": made.result, "configuration": configuration, **told, "reproduction": report_json(made)},
    }


def read_report(told: Mapping[str, Any], where: object) -> Reproduction:
    """The report in a statement whose signature was checked.

    Raises: IntegrityError: it holds none.
    """
    predicate = told.get("predicate")
    raw = predicate.get("reproduction") if isinstance(predicate, Mapping) else None
    check(raw, "reproduction", where, IntegrityError)
    return structure(raw, Reproduction)


def summary(made: Reproduction) -> str:
    """How many parts there are of each verdict."""
    count = Counter(part.verdict for part in made.parts)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in ORDER if count[verdict])


def table(parts: tuple[Part, ...]) -> list[str]:
    """For people: a line a part, what is not equal first."""
    shown = [part for part in parts if not (part.verdict == "equal" and part.name.startswith(PACKAGE))]
    same = len(parts) - len(shown)
    rows = [f"{part.verdict:<12} {part.name:<36} {part.reason}" for part in sorted(shown, key=lambda p: ORDER.index(p.verdict))]
    return [*rows, f"{'equal':<12} {f'{same} packages':<36} as the lock names them"] if same else rows
