"""Rules that read small text files: labels against the trainer's own words, cards, licences, secrets, links."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from yulan import digest
from yulan.errors import DataError
from yulan.layout import MANIFEST
from yulan.manifest import File
from yulan.release.audit.finding import Finding, among
from yulan.release.audit.layouts import folder_steps, step_of
from yulan.release.audit.survey import SMALL, Seen, Survey
from yulan.release.audit.zipped import numbers_in
from yulan.release.card.evidence import EVIDENCE, Evidence, naked, prose, unproven
from yulan.release.folder import ALIEN, CARD_SIGNATURE, RECORDS, SIGNATURE, WITHDRAWN
from yulan.release.folder import CARD as CARD_LIST
from yulan.release.gate.claims import header_of
from yulan.release.gate.contents import HEAD, secrets_in
from yulan.release.withdrawal import Withdrawal, as_built, read_withdrawal
from yulan.schema import structure

CARD = "README.md"
STATES = {"trainer_state.json", "state.json", "training_state.json"}
LATEST = {"latest", "latest_universal"}
MODEL_STATES = "mp_rank_00_model_states.pt"
"""DeepSpeed's, which tells the step it was at."""
COMMENTS, LINKS = 500, 5_000
"""Of the largest card that is read: patterns that look for their ends take the square of what never ends."""
LARGEST_CARD, LARGEST_HEADER = 1 << 20, 1 << 18
"""Bytes."""
LINES = 50_000
"""Of all texts together that are searched for secrets without --deep."""
TEXTS = {".json", ".jsonl", ".md", ".csv", ".yaml", ".yml", ".txt", ".toml", ".ini", ".cfg", ".env", ".py", ".sh", ".log", ""}


def steps_agree(survey: Survey) -> Iterator[Finding]:
    """The step in a revision's name, in its folders' names and in the trainer's own state is one."""
    for seen in survey.revisions:
        told = steps_told(survey, seen)
        if len(set(told.values())) > 1:
            what = "; ".join(f"{who} says {step}" for who, step in told.items())
            yield Finding(id="label-step", severity="error", where=seen.name, what=what)
        for name, own in _of_folders(seen).items():
            for who, step in _trainer(survey, seen, name).items():
                if step != own:
                    what = f"its folder says {own}; {who} says {step}"
                    yield Finding(id="label-step", severity="error", where=f"{seen.name}:{name}", what=what)


def _of_folders(seen: Seen) -> dict[str, int]:
    """Trainers' states that lie in one of several folders of checkpoints, each with the step that its folder's name claims."""
    found = {
        name: step
        for name in sorted(seen.files)
        if PurePosixPath(name).name in STATES and (step := step_of(PurePosixPath(name).parent.name)) is not None
    }
    return found if len(found) > 1 else {}


def steps_told(survey: Survey, seen: Seen) -> dict[str, int]:
    """Which step a revision is at, by whoever says one; several checkpoints in one revision each say their own."""
    told: dict[str, int] = {}
    label, folders, apart = step_of(seen.name), folder_steps(seen.files), _of_folders(seen)
    if label is not None:
        told["its name"] = label
    if len(folders) == 1 or (label is not None and label not in folders):
        told |= {f"the folder global_step{step}": step for step in sorted(folders)}
    for name in sorted(LATEST & seen.files.keys()):
        # Written without a line's end: git's id tells whether it names the step that is expected, and no byte is asked for.
        if seen.files[name].blob in {digest.git_blob(f"global_step{step}".encode()) for step in told.values()}:
            continue
        if (found := step_of(f"-{(survey.text(seen, name) or '').strip()}")) is not None:
            told[f"the file {name}"] = found
    trainers = [name for name in sorted(seen.files) if PurePosixPath(name).name in STATES]
    for name in trainers:
        told |= {} if name in apart else _trainer(survey, seen, name)
    for name in sorted(seen.files) if len(folders) < 2 and seen in survey.looked else ():
        if PurePosixPath(name).name == MODEL_STATES and survey.hub is not None:
            told |= {f"{name} ({key})": step for key, step in numbers_in(survey, seen, name, {"global_steps"}).items()}
    if not trainers and MANIFEST in seen.files and CARD_LIST in seen.files:
        step = _dict(_dict(_json(survey, seen, MANIFEST)).get("summary")).get("step")
        told |= {MANIFEST: step} if isinstance(step, int) else {}
    return told


def _trainer(survey: Survey, seen: Seen, name: str) -> dict[str, int]:
    if seen.files[name].size > SMALL and survey.hub is not None:
        # A long log makes it large; the step stands before it.
        head = (survey.part(seen, name, 0, HEAD) or b"").decode("utf-8", "replace")
        found = re.search(r'"global_step": (\d{1,15})', head)
        return {name: int(found[1])} if found else {}
    state = _dict(_json(survey, seen, name))
    told = {name: state["global_step"]} if isinstance(state.get("global_step"), int) else {}
    if isinstance(state.get("adam_step"), int) and isinstance(state.get("skipped"), list):
        told["AdamW with the skipped steps"] = state["adam_step"] + len(state["skipped"])
    return told


def _json(survey: Survey, seen: Seen, name: str) -> Any:
    try:
        return survey.json(seen, name)
    except ValueError:
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_listed(survey: Survey) -> Iterator[Finding]:
    """A revision that carries this project's lists holds exactly what they say."""
    for seen in survey.looked:
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
    header = header_told(survey, survey.main)
    stated = header.get("license")
    if not stated or str(stated).lower() == "unknown":
        yield Finding(id="licence", severity="error", where="main", what="the card states no licence")
    elif str(stated).lower() == "other" and not (header.get("license_name") or header.get("license_link")):
        yield Finding(id="licence", severity="warning", where="main", what="the licence is `other`, and nothing says which")
    if not any(PurePosixPath(name).stem.upper() in {"LICENSE", "LICENCE", "COPYING"} for name in survey.main.files):
        yield Finding(id="licence-file", severity="note", where="main", what="no LICENSE file")


def header_told(survey: Survey, seen: Seen) -> dict[str, Any]:
    """The YAML header of a card; empty where there is none that can be read."""
    head = (survey.text(seen, CARD) or "")[:LARGEST_HEADER]
    try:
        return header_of(head)
    except (ValueError, RecursionError):
        return {}


def secrets(survey: Survey) -> Iterator[Finding]:
    """No text file holds a token, password or private key."""
    left = LINES
    for seen, name, _ in survey.distinct(survey.looked):
        path = PurePosixPath(name)
        if path.suffix.lower() not in TEXTS or path.name == "tokenizer.json":
            continue
        if not (lines := (survey.text(seen, name) or "").splitlines()):
            continue
        for number, kind in secrets_in(lines if survey.deep else lines[:left]):
            what = f"line {number} looks like a secret ({kind})"
            yield Finding(id="secret", severity="error", where=f"{seen.name}:{name}", what=what)
        left = max(0, left - len(lines))
    if not left and not survey.deep:
        what = f"the first {LINES:,} lines of its texts were searched for secrets; --deep searches all"
        yield Finding(id="secrets-unchecked", severity="note", where=survey.repo.id, what=what)


def claims(survey: Survey) -> Iterator[Finding]:
    """Every number in a card was read from a result file beside it."""
    for seen in survey.looked:
        if CARD not in seen.files:
            if seen.name == "main":
                yield Finding(id="no-card", severity="error", where=seen.name, what="no README.md")
            continue
        if (card := card_of(survey, seen)) is None:
            continue
        card, _ = as_built(CARD, card, _withdrawal(survey, seen))
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


def said_since(survey: Survey) -> Iterator[Finding]:
    """What a publisher said of a revision after it was published is passed on."""
    for seen in survey.looked:
        made = _withdrawal(survey, seen)
        if made is not None:
            yield Finding(id="withdrawn", severity="note", where=seen.name, what=str(made))
        elif WITHDRAWN in seen.files:
            yield Finding(id="withdrawn", severity="error", where=f"{seen.name}:{WITHDRAWN}", what="cannot be read")
        card = card_of(survey, seen)
        if card is not None and (count := as_built(CARD, card, made)[1]):
            what = f"{count} correction{'s' * (count > 1)} at its end, said and not proven"
            yield Finding(id="errata", severity="note", where=f"{seen.name}:{CARD}", what=what)


def _withdrawal(survey: Survey, seen: Seen) -> Withdrawal | None:
    if WITHDRAWN not in seen.files:
        return None
    try:
        return read_withdrawal(survey.json(seen, WITHDRAWN), f"{seen.name}:{WITHDRAWN}")
    except (ValueError, DataError):
        return None


def card_of(survey: Survey, seen: Seen) -> str | None:
    """A card that can be searched; null: none, or one that nobody would write."""
    card = survey.text(seen, CARD) if CARD in seen.files and seen.files[CARD].size <= LARGEST_CARD else None
    return None if card is None or card.count("<!--") > COMMENTS or card.count("](") > LINKS else card


def oversized(survey: Survey) -> Iterator[Finding]:
    """What a client reads whole is small enough to be read."""
    for seen, name, remote in survey.distinct():
        most = LARGEST_CARD if name == CARD else SMALL
        if PurePosixPath(name).name in {CARD, "config.json", "tokenizer_config.json", "generation_config.json"}:
            if remote.size > most:
                what = f"{remote.size:,} bytes, which were not read"
                yield Finding(id="too-large", severity="error", where=f"{seen.name}:{name}", what=what)
            elif name == CARD and seen in survey.looked and card_of(survey, seen) is None and survey.hub is not None:
                what = f"a card with more than {COMMENTS:,} comments or {LINKS:,} links was not read"
                yield Finding(id="too-large", severity="error", where=f"{seen.name}:{name}", what=what)
