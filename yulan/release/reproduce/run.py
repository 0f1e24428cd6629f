"""Reproduce: fetch and verify, compare the environment, then train steps again or build everything anew."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import files, manifest
from yulan.layout import MANIFEST, Layout, Place
from yulan.manifest import Determinism
from yulan.params import read_params
from yulan.profile import load_profile
from yulan.recipe import INIT, Recipe, load_recipe
from yulan.release.folder import RECORDS
from yulan.release.hub import Hub
from yulan.release.lineage.pulled import LINEAGE
from yulan.release.names import Address, revision, step_of
from yulan.release.pull import pull
from yulan.release.records import MANIFESTS
from yulan.release.release import read_release
from yulan.release.reproduce.environment import machine, packages
from yulan.release.reproduce.report import Part, Reproduction, Verdict
from yulan.release.reproduce.scratch import build, check_out, forget, make_scratch
from yulan.release.restore.published import Published, find
from yulan.release.restore.run import restore
from yulan.release.transaction import Say
from yulan.release.trust import Trust
from yulan.train.determinism import determinism_of

DIFFERENT = 10
"""Exit code of `yulan replay` with that verdict."""
WORDS: Mapping[str, Verdict] = {"EXACT": "equal", "CLOSE": "close", "DIFFERENT": "different"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    phase: str | None
    """Files of this phase alone are fetched; null: all, and a replay takes the phase that the address is of."""
    replay: int | None
    """Steps to train again."""
    band: Path | None
    """What CLOSE is judged by."""
    rebuild: bool
    """Build everything from raw sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A clone of the release's commit, and the release."""

    layout: Layout
    found: Published
    address: Address
    trust: Trust | None
    force: bool
    say: Say

    @property
    def root(self) -> Path:
        return self.layout.root

    def recipe(self) -> Recipe:
        return load_recipe(self.root, self.layout.recipe).recipe


def reproduce(
    hub: Hub, address: Address, root: Path, into: Path, asked: Asked, say: Say, *, trust: Trust | None, force: bool
) -> Reproduction:
    """Work in `into`, a clone of the clone at `root`, which stays as it is.

    Raises: HubError, IntegrityError: the release is not whole; StateError: the commit is not in the clone, or a stage failed.
    """
    into = into.absolute()
    make_scratch(root, into)
    found = find(hub, address, Layout(root=into, recipe="").restored, say, trust, force)
    check_out(into, found.commit)
    bench = Bench(layout=Layout(root=into, recipe=found.recipe), found=found, address=address, trust=trust, force=force, say=say)
    if asked.phase is not None:
        bench.recipe().phase(asked.phase)
    published, here = _classes(bench)
    parts = [*packages((into / "requirements.lock").read_text(encoding="utf-8")), machine(published, here)]
    parts += _files(bench, asked.phase)
    replayed = None
    if asked.rebuild:
        parts += _rebuilt(bench)
    else:
        parts += [_unchecked(name, "not built again: --rebuild") for name in sorted(_manifests(found))]
    if asked.replay is not None:
        more, replayed = _replayed(bench, asked)
        names = {part.name for part in more}
        parts = [part for part in parts if part.name not in names] + more
    else:
        parts.append(_unchecked("replay", "no step was trained again: --replay K"))
    lock = found.records[f"{RECORDS}/dvc.lock"].sha256
    return Reproduction(
        format=1, release=str(address), recipe=found.recipe, commit=found.commit, lock=lock,
        revisions={key: made.lists[MANIFEST].digest for key, made in found.offers.items()}, signed=found.signed,
        published=published, here=here, replayed=replayed, parts=tuple(parts),
    )  # fmt: skip


def _unchecked(name: str, reason: str) -> Part:
    return Part(name=name, verdict="not checked", published=None, found=None, reason=reason)


def _classes(bench: Bench) -> tuple[Determinism | None, Determinism]:
    """The class that the release's trainings name, and this machine's under the release's own profile."""
    made = [manifest.read(path) for name, path in _manifests(bench.found).items() if name.startswith("train@")]
    told = {each.determinism for each in made if each.determinism is not None}
    here = determinism_of(load_profile(read_params(bench.root).profile))
    return (min(told, key=lambda each: each == here) if told else None), here


def _manifests(found: Published) -> dict[str, Path]:
    """Every stage's manifest that the release carries, by target."""
    made = {}
    for name in found.records:
        for home in (f"{LINEAGE}/", f"{RECORDS}/{MANIFESTS}/"):
            if name.startswith(home):
                made[name.removeprefix(home).removesuffix(".json").replace("/", "@")] = found.read(name)
    return made


def _files(bench: Bench, phase: str | None) -> list[Part]:
    """Fetch the revisions and hash every byte on its way, equal files once."""
    parts = []
    for key, made in sorted(bench.found.offers.items()):
        name, told = f"files {key}", made.lists[MANIFEST].digest
        if phase is not None and not key.partition("/")[2].startswith(f"{phase}-step-"):
            parts.append(_unchecked(name, f"not of {phase}"))
            continue
        for file in made.files.values():
            bench.found.bring(file.sha256)
        signed = ", signed" if bench.found.signed else ", signature not checked"
        reason = f"{len(made.files)} files as listed{signed}"
        parts.append(Part(name=name, verdict="equal", published=told, found=told, reason=reason))
        bench.say(f"{name}: {reason}")
    return parts


def _rebuilt(bench: Bench) -> Iterable[Part]:
    """Build everything anew, then compare every stage's content digest and every revision's."""
    forget(bench.layout)
    build(bench.root)
    for target, path in sorted(_manifests(bench.found).items()):
        yield _compared(bench, target, path)
    made = read_release(bench.layout.stage("bundle").data)
    for key, offer in sorted(bench.found.offers.items()):
        part, _, name = key.partition("/")
        here = made.part(part).revisions.get(name)  # type: ignore[arg-type]
        yield _told(key, offer.lists[MANIFEST].digest, here)


def _compared(bench: Bench, target: str, path: Path) -> Part:
    """One stage's manifest here against the release's."""
    own = _place(bench, target).manifest
    return _told(target, manifest.read(path).digest, manifest.read(own).digest if own.exists() else None)


def _place(bench: Bench, target: str) -> Place:
    stage, _, phase = target.partition("@")
    return bench.layout.stage(stage, phase or None)


def _told(name: str, published: str, here: str | None) -> Part:
    same = here == published
    reason = "built again from raw sources" if same else f"built again: {(here or 'nothing')[:12]}, published {published[:12]}"
    return Part(name=name, verdict="equal" if same else "different", published=published, found=here, reason=reason)


def _replayed(bench: Bench, asked: Asked) -> tuple[list[Part], Mapping[str, Any] | None]:
    """Train the first steps of a phase again, on data that was built here: of the release only synthetic text is taken."""
    recipe, parts = bench.recipe(), list[Part]()
    phase = asked.phase or _phase_of(bench, recipe)
    begin, end = _begin(recipe, phase), revision(phase, recipe.start(phase) + recipe.phase(phase).steps)
    if absent := [name for name in (begin, end) if name is not None and f"states/{name}" not in bench.found.offers]:
        return [_unchecked(f"replay {phase}", f"the release holds no states/{absent[0]}")], None
    if not asked.rebuild:
        targets = ("shards", f"mix@{phase}", "init")
        only = [target for target in ("synthesize",) if target in _manifests(bench.found)]
        restore(bench.found.hub, bench.address, bench.root, bench.say, trust=bench.trust, force=bench.force, only=only)
        for target in targets:
            # Restored too: what is compared must have been made here.
            files.remove(_place(bench, target).manifest)
        build(bench.root, *targets)
        parts = [_compared(bench, target, _manifests(bench.found)[target]) for target in targets]
    start = bench.layout.stage("init").folder if begin is None else _states(bench, begin)
    steps = min(asked.replay or 1, recipe.phase(phase).steps)
    told, problem = _train(bench, _states(bench, end), start, steps, asked.band)
    if told is None:
        return [*parts, _unchecked(f"replay {phase}", problem)], None
    what = "rows, weights and moments" if told["states_compared"] else "rows"
    reason = f"{told['steps']} steps from step {told['start']['step']} on, {what}: {told['verdict']}; {told['reason']}"
    verdict, end = WORDS[told["verdict"]], told["end"]["checkpoint"]
    return [*parts, Part(name=f"replay {phase}", verdict=verdict, published=end, found=None, reason=reason)], told


def _train(bench: Bench, end: Path, start: Path, steps: int, band: Path | None) -> tuple[dict[str, Any] | None, str]:
    """What `yulan replay` of the release's commit says; null and the reason where it can give no verdict here."""
    words = ["replay", str(end), "--from", str(start), "--steps", str(steps), "--json"]
    words += ["--band", str(band.absolute())] if band else []
    # In that folder it is the code of the release's commit.
    command = [sys.executable, "-m", "yulan.cli", *words]
    done = subprocess.run(command, cwd=bench.root, capture_output=True, text=True, check=False)
    if done.returncode not in {0, DIFFERENT}:
        return None, (done.stderr.strip().splitlines() or ["no word"])[-1][:300]
    told: dict[str, Any] = json.loads(done.stdout)
    return told, ""


def _phase_of(bench: Bench, recipe: Recipe) -> str:
    """The phase that the address is of; a tag's is that of the branch with its commit, `main`'s the final's."""
    commit = bench.found.hub.commit_of(bench.address.repo, bench.address.revision)
    names = [k.partition("/")[2] for k, m in bench.found.offers.items() if m.commit == commit and m.repo == bench.address.repo]
    step = next((name for name in names if step_of(name) is not None), None)
    if step is not None:
        return step.rpartition("-step-")[0]
    return next(phase for phase in recipe.leaves() if phase.count("-") == 1)


def _begin(recipe: Recipe, phase: str) -> str | None:
    """The states that a phase began with: its parent's end, or what that was re-balanced to; null: those before any step."""
    after = recipe.phase(phase).after
    if recipe.phase(phase).rebalance:
        return revision(phase, recipe.start(phase))
    return None if after == INIT else revision(after, recipe.start(phase))


def _states(bench: Bench, name: str) -> Path:
    into = bench.layout.runs("released", "0" * 16).parent / name
    there = Address(name=bench.address.name, part="states", revision=name)
    pull(bench.found.hub, there, into, None, bench.say, bench.trust, bench.force)
    return into
