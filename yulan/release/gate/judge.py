"""All rules over one bundle."""

from pathlib import Path

from yulan.errors import YulanError
from yulan.recipe.outcome import Waiver
from yulan.release.gate import (
    agreement,
    chain,
    claims,
    contents,
    described,
    distances,
    licences,
    listing,
    reported,
    texts,
    weights,
)
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.rule import Noted, Rule, Waived
from yulan.release.verdict import Ruling, Verdict

RULES = (
    Rule(id="files-listed", check=listing.files_listed),
    Rule(id="names-safe", check=listing.safe_names),
    Rule(id="schemas-valid", check=listing.schemas_valid),
    Rule(id="three-pinned", check=listing.three_pinned),
    Rule(id="lineage-complete", check=chain.lineage_complete),
    Rule(id="no-pickle", check=contents.no_pickle),
    Rule(id="safetensors-sound", check=contents.safetensors_sound),
    Rule(id="no-remote-code", check=contents.no_remote_code),
    Rule(id="no-secrets", check=contents.no_secrets, waivable=True),
    Rule(id="no-machine", check=contents.no_machine, waivable=True),
    Rule(id="steps-agree", check=weights.steps_agree),
    Rule(id="weights-are-the-masters", check=weights.weights_are_the_masters),
    Rule(id="weights-differ", check=weights.weights_differ),
    Rule(id="begins-follow", check=weights.begins_follow),
    Rule(id="distances-plausible", check=distances.distances_plausible, waivable=True),
    Rule(id="checkpoints-complete", check=claims.checkpoints_complete),
    Rule(id="numbers-proven", check=claims.numbers_proven),
    Rule(id="licences-stated", check=claims.licences_stated),
    Rule(id="unknown-text-withheld", check=texts.unknown_text_withheld),
    Rule(id="licences-counted", check=licences.licences_counted),
    Rule(id="duties-met", check=licences.duties_met),
    Rule(id="sentences-agree", check=agreement.sentences_agree),
    Rule(id="removed-left-out", check=claims.removed_left_out),
    Rule(id="croissant-valid", check=described.croissant_valid),
    Rule(id="results-measured", check=reported.results_measured),
    Rule(id="aibom-valid", check=reported.aibom_valid),
)
MOST = 20
"""Rows of evidence that a ruling keeps."""


def judge(folder: Path, digest: str, rules: tuple[Rule, ...] = RULES) -> Verdict:
    """Ask every rule about the bundle in `folder`, whose content digest is `digest`."""
    bundle = Bundle(path=folder)
    waivers = _waivers(bundle)
    rulings = tuple(rule_on(rule, bundle, waivers) for rule in rules)
    failed = any(ruling.verdict == "fail" for ruling in rulings)
    return Verdict(format=1, bundle=digest, verdict="fail" if failed else "pass", rules=rulings)


def _waivers(bundle: Bundle) -> tuple[Waiver, ...]:
    """Those of the recipe in the bundle; where it cannot be read, no finding is waived and the rules that read it fail."""
    try:
        return bundle.book.recipe.release.waivers
    except YulanError:
        return ()


def rule_on(rule: Rule, bundle: Bundle, waivers: tuple[Waiver, ...] = ()) -> Ruling:
    """A rule that cannot be asked, since a file it needs is missing or broken, has failed. So has one with a waiver too many."""
    wrong: list[str] = []
    waived: list[str] = []
    noted: list[str] = []
    reasons = {waiver.finding: waiver.reason for waiver in waivers if waiver.rule == rule.id}
    try:
        for found in rule.check(bundle):
            match found:
                case Waived(reason):
                    waived.append(reason)
                case Noted(what):
                    noted.append(what)
                case _ if rule.waivable and found in reasons:
                    waived.append(f"{found}: {reasons.pop(found)}")
                case _:
                    wrong.append(found)
    except Exception as error:  # whatever a broken file leads a reader to, the rule was not shown to hold
        wrong.append(f"cannot be asked: {error.what if isinstance(error, YulanError) else error.__class__.__name__}")
    wrong += [f"the recipe waives what was not found: {finding}" for finding in reasons]
    rows = wrong or [*waived, *noted]
    kept = (*rows[:MOST], f"and {len(rows) - MOST} more") if len(rows) > MOST else tuple(rows)
    return Ruling(id=rule.id, sentence=rule.sentence, verdict="fail" if wrong else "waived" if waived else "pass", evidence=kept)
