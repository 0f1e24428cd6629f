"""Rules that read small text files: labels against the trainer's own words, cards, licences, secrets, links."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from yulan.layout import MANIFEST
from yulan.manifest import File
from yulan.release.audit.finding import Finding, among
from yulan.release.audit.layouts import folder_steps, step_of
from yulan.release.audit.survey import Seen, Survey
from yulan.release.card.evidence import EVIDENCE, Evidence, naked, prose, unproven
from yulan.release.folder import ALIEN, CARD_SIGNATURE, RECORDS, SIGNATURE
from yulan.release.folder import CARD as CARD_LIST
from yulan.release.gate.claims import header_of
from yulan.release.gate.contents import secrets_in
from yulan.schema import structure

CARD = "README.md"
STATES = ("trainer_state.json", "checkpoint/state.json", "state.json", "training_state.json")
TEXTS = {".json", ".jsonl", ".md", ".csv", ".yaml", ".yml", ".txt", ".toml", ".ini", ".cfg", ".env", ".py", ".sh", ".log", ""}
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=[\"']([^\"']+)[\"']")


def steps_agree(survey: Survey) -> Iterator[Finding]:
    """The step in a revision's name, in its folders' names and in the trainer's own state is one."""
    for seen in survey.revisions:
        told: dict[str, int] = {}
        if (step := step_of(seen.name)) is not None:
            told["its name"] = step
        for step in folder_steps(seen.files):
            told[f"the folder global_step{step}"] = step
        if (found := step_of(f"-{(survey.text(seen, 'latest') or '').strip()}")) is not None:
            told["the file latest"] = found
        for name in seen.files:
            if PurePosixPath(name).name in {PurePosixPath(state).name for state in STATES}:
                told |= _trainer(survey, seen, name)
        if len(set(told.values())) > 1:
            what = "; ".join(f"{who} says {step}" for who, step in told.items())
            yield Finding(id="label-step", severity="error", where=seen.name, what=what)


def _trainer(survey: Survey, seen: Seen, name: str) -> dict[str, int]:
    try:
        state = survey.json(seen, name)
    except ValueError:
        return {}
    if not isinstance(state, dict):
        return {}
    told = {name: state["global_step"]} if isinstance(state.get("global_step"), int) else {}
    if isinstance(state.get("adam_step"), int) and isinstance(state.get("skipped"), list):
        told["AdamW with the skipped steps"] = state["adam_step"] + len(state["skipped"])
    return told


def as_listed(survey: Survey) -> Iterator[Finding]:
    """A revision that carries this project's lists holds exactly what they say."""
    for seen in survey.revisions:
        told: dict[str, File] = {}
        own = [name for name in (MANIFEST, CARD_LIST, f"{RECORDS}/{MANIFEST}") if name in seen.files]
        if MANIFEST not in own or CARD_LIST not in own:
            continue
        for name in own:
            try:
                rows = survey.json(seen, name)["files"]
                prefix = f"{RECORDS}/" if name.startswith(RECORDS) else ""
                told |= {prefix + row["path"]: structure(row, File) for row in rows}
            except (ValueError, KeyError, TypeError, BaseExceptionGroup):
                yield Finding(id="listed", severity="error", where=f"{seen.name}:{name}", what="not a list of files")
        rows = [f"missing {name}" for name in told.keys() - seen.files.keys()]
        rows += [f"unlisted {name}" for name in seen.files.keys() - told.keys() - {*own, ALIEN, SIGNATURE, CARD_SIGNATURE}]
        rows += [f"changed {name}" for name in told.keys() & seen.files.keys() if seen.files[name].differs(told[name])]
        if rows:
            yield Finding(
                id="listed", severity="error", where=seen.name, what=f"not as its manifest lists: {among(sorted(rows))}"
            )
        if SIGNATURE not in seen.files:
            yield Finding(id="unsigned", severity="warning", where=seen.name, what="no model.sig")


def licences(survey: Survey) -> Iterator[Finding]:
    """The card of `main` states a licence, and there is a licence file."""
    if survey.main is None:
        return
    header = header_of(survey.text(survey.main, CARD) or "")
    stated = header.get("license")
    if not stated or str(stated).lower() == "unknown":
        yield Finding(id="licence", severity="error", where="main", what="the card states no licence")
    elif str(stated).lower() == "other" and not (header.get("license_name") or header.get("license_link")):
        yield Finding(id="licence", severity="warning", where="main", what="the licence is `other`, and nothing says which")
    if not any(PurePosixPath(name).stem.upper() in {"LICENSE", "LICENCE", "COPYING"} for name in survey.main.files):
        yield Finding(id="licence-file", severity="note", where="main", what="no LICENSE file")


def secrets(survey: Survey) -> Iterator[Finding]:
    """No text file holds a token, password or private key."""
    for seen, name, _ in survey.distinct():
        path = PurePosixPath(name)
        if path.suffix.lower() not in TEXTS or path.name == "tokenizer.json":
            continue
        text = survey.text(seen, name)
        for number, kind in secrets_in((text or "").splitlines()):
            what = f"line {number} looks like a secret ({kind})"
            yield Finding(id="secret", severity="error", where=f"{seen.name}:{name}", what=what)


def claims(survey: Survey) -> Iterator[Finding]:
    """Every number in a card was read from a result file beside it."""
    for seen in survey.revisions:
        card = survey.text(seen, CARD)
        if card is None:
            if seen.name == "main":
                yield Finding(id="no-card", severity="error", where=seen.name, what="no README.md")
            continue
        if EVIDENCE in seen.files:
            try:
                figures = structure(survey.json(seen, EVIDENCE), Evidence).figures
                rows = unproven(card, figures)
            except (ValueError, KeyError, TypeError, AttributeError, BaseExceptionGroup):
                rows = ["evidence.json cannot be read"]
            for row in rows[:5]:
                yield Finding(id="claim", severity="error", where=f"{seen.name}:{CARD}", what=row)
        elif seen.name == "main" and (numbers := naked(prose(card))):
            what = f"{len(numbers)} numbers without evidence: {among(numbers)}"
            yield Finding(id="claim", severity="warning", where=f"{seen.name}:{CARD}", what=what)


def links(survey: Survey) -> Iterator[Finding]:
    """Links of a card into its own repository lead somewhere. Those to elsewhere are counted, not followed."""
    for seen in survey.revisions:
        card = survey.text(seen, CARD)
        if card is None or seen.name != "main":
            continue
        elsewhere = 0
        for found in _LINK.finditer(card):
            target = (found[1] or found[2]).partition("#")[0].partition("?")[0]
            if not target:
                continue
            if re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
                elsewhere += 1
            elif str(PurePosixPath(target.lstrip("/"))) not in seen.files and not any(
                name.startswith(target.strip("/") + "/") for name in seen.files
            ):
                yield Finding(id="dead-link", severity="warning", where=f"{seen.name}:{CARD}", what=f"{target} is not there")
        if elsewhere:
            what = f"{elsewhere} links to other places were not followed"
            yield Finding(id="links-elsewhere", severity="note", where=f"{seen.name}:{CARD}", what=what)
