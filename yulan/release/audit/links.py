"""Where a card leads: into its own repository, to others on its hub, and, only where asked to, elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from yulan.release.audit.elsewhere import Follow
from yulan.release.audit.finding import Finding, among
from yulan.release.audit.layouts import step_of
from yulan.release.audit.survey import Seen, Survey
from yulan.release.audit.texts import CARD, card_of, header_told
from yulan.release.hub import Refused
from yulan.release.names import MAIN, Repo

NAMES = 32
"""Other repositories that are asked for."""
PUBLIC = "huggingface.co"
# No bracket within a link: with it, a card of `](](` takes time that grows with its square.
_LINK = re.compile(r"\]\(([^)\s\[\]]+)\)|(?:src|href)=[\"']([^\"']+)[\"']|<(https?://[^<>\s]+)>")
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_PATH = re.compile(
    r"/(?P<data>datasets/)?(?P<id>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:/(?:tree|blob|raw|resolve)/(?P<rev>[^/]+)(?:/.*)?)?/?"
)
_NOT_REPOS = {"collections", "docs", "papers", "spaces", "blog", "posts", "learn", "organizations", "api", "buckets", "tasks"}
_CALL = re.compile(
    r"(?P<verb>from_pretrained|load_dataset|snapshot_download|hf_hub_download)\(\s*(?:repo_id\s*=\s*)?"
    r"[\"'](?P<id>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})[\"'](?P<rest>[^)]{0,300})"
)
_REVISION = re.compile(r"revision\s*=\s*[\"']([\w./-]{1,200})[\"']")


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A repository that a card names."""

    repo: Repo
    revision: str
    here: bool
    """Named as one of this very hub; else by the public hub's address, which this one may not mirror, or as a folder might be."""


def links(survey: Survey, follow: Follow | None = None) -> Iterator[Finding]:
    """What the card of `main` links to or names is there. `follow` asks other places; without it they are counted."""
    main = survey.main
    card = card_of(survey, main) if main else None
    if main is None or card is None:
        return
    where, elsewhere = f"{main.name}:{CARD}", []
    named = header_names(survey, main)
    for found in _LINK.finditer(card):
        target = (found[1] or found[2] or found[3]).partition("#")[0]
        if _ABSOLUTE.match(target):
            if (other := on_hub(target, survey)) is not None:
                named.append(other)
            else:
                elsewhere.append(target)
        elif (path := unquote(target.partition("?")[0])) and not _is_here(main, path):
            yield Finding(id="dead-link", severity="warning", where=where, what=f"{path} is not there")
    called = calls(card)
    yield from _revisions(survey, [each for each in called if same(each.repo, survey.repo)], where)
    named += [each for each in called if not same(each.repo, survey.repo)]
    yield from _named(survey, list(dict.fromkeys(named)), where)
    elsewhere = [each for each in dict.fromkeys(elsewhere) if re.match(r"(https?:)?//", each, re.IGNORECASE)]
    if follow is not None:
        yield from follow(elsewhere, where)
    elif elsewhere:
        what = f"{len(elsewhere)} links to other places were not followed; --links follows them"
        yield Finding(id="links-unchecked", severity="note", where=where, what=what)


def _is_here(seen: Seen, target: str) -> bool:
    path = target.strip("/")
    return str(PurePosixPath(path)) in seen.files or any(name.startswith(f"{path}/") for name in seen.files) or path in {"", "."}


def header_names(survey: Survey, seen: Seen) -> list[Named]:
    """`datasets` and `base_model` of a card's header."""
    header, found = header_told(survey, seen), []
    for key, part in (("datasets", "data"), ("base_model", "model")):
        told = header.get(key)
        for name in told if isinstance(told, list) else [told]:
            # Names without an owner are the public hub's oldest ones, or no names.
            if isinstance(name, str) and _REPO.fullmatch(name) and ".." not in name:
                found.append(Named(repo=Repo(id=name, part=part), revision=MAIN, here=True))  # type: ignore[arg-type]
    return found


def on_hub(target: str, survey: Survey) -> Named | None:
    """The repository that an address leads to, if it is this hub's or the public one's."""
    address, own = urlsplit(target), urlsplit(survey.hub.hub.endpoint if survey.hub else "")
    if address.netloc not in {own.netloc, PUBLIC, f"www.{PUBLIC}"}:
        return None
    found = _PATH.fullmatch(unquote(address.path))
    if found is None or found["id"].partition("/")[0] in _NOT_REPOS or ".." in address.path:
        return None
    repo = Repo(id=found["id"], part="data" if found["data"] else "model")
    return Named(repo=repo, revision=found["rev"] or MAIN, here=address.netloc == own.netloc)


def calls(card: str) -> list[Named]:
    """Repositories that a card's examples load."""
    found = []
    for call in _CALL.finditer(card):
        data = call["verb"] == "load_dataset" or re.search(r"repo_type\s*=\s*[\"']dataset", call["rest"])
        revision = _REVISION.search(call["rest"])
        repo = Repo(id=call["id"], part="data" if data else "model")
        found.append(Named(repo=repo, revision=revision[1] if revision else MAIN, here=revision is not None))
    return found


def same(one: Repo, other: Repo) -> bool:
    """Whether they are one repository on the hub."""
    return (one.id, one.kind) == (other.id, other.kind)


def _revisions(survey: Survey, called: list[Named], where: str) -> Iterator[Finding]:
    """Checkpoints that the card says to load exist; a name that tells no step may stand for any."""
    known = {seen.name for seen in survey.revisions} | survey.tags.keys()
    absent = [each.revision for each in called if step_of(each.revision) is not None and each.revision not in known]
    if absent and survey.whole:
        yield Finding(id="dead-link", severity="warning", where=where, what=f"no revision of that name: {among(absent)}")


def _named(survey: Survey, named: list[Named], where: str) -> Iterator[Finding]:
    if survey.hub is None:
        return
    for each in named[:NAMES]:
        known = {seen.name for seen in survey.revisions} | survey.tags.keys()
        if same(each.repo, survey.repo) and each.revision in known:
            continue
        try:
            survey.hub.commit_of(each.repo, each.revision)
        except Refused:
            what = f"{each.repo}@{each.revision} is not on this hub, or not for everybody"
            if each.here:
                yield Finding(id="dead-link", severity="warning", where=where, what=what)
            else:
                yield Finding(id="link-unchecked", severity="note", where=where, what=what)
    if len(named) > NAMES:
        what = f"{NAMES} of {len(named)} repositories that the card names were asked for"
        yield Finding(id="links-unchecked", severity="note", where=where, what=what)
