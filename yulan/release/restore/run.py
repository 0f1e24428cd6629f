"""Restore: fill the DVC cache from a release's files, then put the clone to its commit and check the outputs out.

Until everything is fetched the clone is as it was; the cache only grows. A rerun goes on where an interrupted try stopped.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, files, manifest
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST, Layout
from yulan.manifest import File, Manifest
from yulan.recipe.sources import load_sources
from yulan.release.folder import RECORDS
from yulan.release.hub import Hub
from yulan.release.lineage.pulled import LINEAGE
from yulan.release.names import PARTS, Address
from yulan.release.records import MANIFESTS
from yulan.release.release import RELEASE_FILE, Half, Release, write_release
from yulan.release.restore.cache import Cache, cache_of, dvc, to_do
from yulan.release.restore.clone import move, require_movable
from yulan.release.restore.lock import Output, read_lock
from yulan.release.restore.published import Published, Spot, find
from yulan.release.restore.told import LeftOut, Restored, left_out
from yulan.release.transaction import Say
from yulan.release.trust import Trust


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """An output, and what of it the release holds."""

    output: Output
    manifest: Manifest
    missing: tuple[File, ...]


def restore(
    hub: Hub,
    address: Address,
    root: Path,
    say: Say,
    *,
    trust: Trust | None = None,
    force: bool = False,
    only: Collection[str] = (),
    dry_run: bool = False,
) -> Restored:
    """Put the clone at `root` into the state of the release that `address` is of; `only`: outputs of these stages alone.

    Raises: HubError, IntegrityError: the release is not whole; StateError: it was withdrawn, or the clone holds other work.
    """
    work = Layout(root=root, recipe="").restored
    found = find(hub, address, work, say, trust, force)
    layout = Layout(root=root, recipe=found.recipe)
    outputs = read_lock(found.read(f"{RECORDS}/dvc.lock"), found.recipe)
    written = _written(found, layout, outputs)
    if not dry_run:
        require_movable(root, found.commit, written)
    own = _own(found)
    held = _held(found, outputs, own)
    if unknown := sorted(set(only) - {each.output.target for each in held}):
        cure = "Name stages as dvc.lock does: train@phase-01"
        raise StateError(f"the release tells of no output {unknown[0]}", where=address, cure=cure)
    whole = [each for each in held if not each.missing and (not only or each.output.target in only)]
    wanted = {file.sha256: file.size for each in whole for file in each.manifest.files}
    fetched, was, runs, left = 0, None, False, None
    if not dry_run:
        fetched = _fill(found, whole, own, cache_of(root), say)
        was = move(root, found.commit)
        for name, data in written.items():
            files.write_bytes(root / name, data)
        dvc(root, "checkout", "--allow-missing")
        runs = any(each.output.target.startswith("train@") for each in whole) and track(layout)
        left = to_do(root)
    done = Restored(
        format=1, release=str(address), commit=found.commit, was=was, recipe=found.recipe, signed=found.signed,
        outputs=tuple(each.output.target for each in whole), bytes=sum(wanted.values()), fetched=fetched,
        left_out=_left_out(found, [each for each in held if each.missing], layout), runs=runs, to_do=left,
    )  # fmt: skip
    files.remove(work)
    return done


def _written(found: Published, layout: Layout, outputs: Sequence[Output]) -> dict[str, bytes]:
    """Files of the clone by name: dvc.lock, manifests, records.

    Raises: IntegrityError: a manifest is not the one that dvc.lock names.
    """
    made = {"dvc.lock": found.read(f"{RECORDS}/dvc.lock").read_bytes()}
    for output in outputs:
        name = _list(output, found)
        if output.data or name is None:
            continue
        path = found.read(name)
        if digest.md5_of_file(path) != output.md5:
            raise IntegrityError(f"{name} is not the one that dvc.lock names", where=found.name, cure="Do not use this release")
        made[output.path] = path.read_bytes()
    for name in found.records:
        if re.fullmatch(rf"{RECORDS}/[0-9a-f]{{64}}\.json", name):
            record = layout.record(Path(name).stem).relative_to(layout.root).as_posix()
            made[record] = found.read(name).read_bytes()
    return made


def _list(output: Output, found: Published) -> str | None:
    """Where the release keeps the manifest of a stage; null: it does not."""
    names = (f"{LINEAGE}/{output.list}.json", f"{RECORDS}/{MANIFESTS}/{output.list}.json")
    return next((name for name in names if name in found.records), None)


def _own(found: Published) -> dict[str, Path]:
    """release.json by its sha256: the one file of a bundle that is not published, and follows from what is."""
    digests: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    commits: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for key, made in found.offers.items():
        part, _, revision = key.partition("/")
        digests[part][revision] = made.lists[MANIFEST].digest
        commits[part][made.commit] = revision
    halves = {}
    for part in PARTS:
        home = next(made.repo for key, made in found.offers.items() if key.startswith(f"{part}/"))
        tags = {tag: commits[part][commit] for tag, commit in found.hub.refs(home)[1].items() if commit in commits[part]}
        halves[part] = Half(revisions=digests[part], tags=tags)
    with tempfile.TemporaryDirectory() as folder:
        write_release(Path(folder), Release(format=1, name=found.name, recipe=found.recipe, **halves))
        data = (Path(folder) / RELEASE_FILE).read_bytes()
    return {digest.of_bytes(data): files.write_bytes(found.work / digest.of_bytes(data), data)}


def _held(found: Published, outputs: Sequence[Output], own: Mapping[str, Path]) -> list[Held]:
    """Every output whose manifest the release has, and the files of it that it has not."""
    held = []
    for output in outputs:
        name = _list(output, found)
        if output.data and name is not None:
            made = manifest.read(found.read(name))
            missing = tuple(file for file in made.files if file.sha256 not in found.spots and file.sha256 not in own)
            held.append(Held(output=output, manifest=made, missing=missing))
    return held


def _fill(found: Published, whole: Sequence[Held], own: Mapping[str, Path], cache: Cache, say: Say) -> int:
    """Bring what the cache lacks of these outputs; returns the bytes that came over the wire.

    Raises: ResourceError: they do not fit on the disk; IntegrityError: they are not the outputs of dvc.lock.
    """
    lacking = [each for each in whole if not cache.holds(each.output.md5)]
    spots = {file.sha256: found.spots[file.sha256] for each in lacking for file in each.manifest.files if file.sha256 not in own}
    left = [spot for spot in spots.values() if not _is_there(spot, found.work)]
    files.require_space(cache.folder.parent, sum(spot.file.size for spot in left))
    names = {sha256: cache.add(path) for sha256, path in own.items()}
    fetched = done = 0
    for sha256, spot in spots.items():
        path, came = found.bring(sha256)
        names[sha256] = cache.add(path)
        fetched, done = fetched + came, done + spot.file.size
        say(f"{spot.repo}/{spot.name}: {done:,} of {sum(s.file.size for s in spots.values()):,} bytes")
    for each in lacking:
        cache.add_folder({file.path: names[file.sha256] for file in each.manifest.files}, each.output.md5)
    return fetched


def _is_there(spot: Spot, work: Path) -> bool:
    path = work / spot.file.sha256
    return path.is_file() and path.stat().st_size == spot.file.size


def track(layout: Layout) -> bool:
    """Make the MLflow store from the logs, by the code of the commit; returns false where one is there, which stays.

    Raises: StateError: it was not made.
    """
    if layout.tracking.exists():
        return False
    words = [sys.executable, "-m", "yulan.cli", "track", "import"]
    done = subprocess.run(words, cwd=layout.root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StateError(
            "the MLflow store was not made",
            where=layout.tracking,
            cure="Everything else is restored; cure what is named, then: yulan track import",
            evidence=done.stderr.strip().splitlines()[-5:],
        )
    return True


def _left_out(found: Published, partial: Sequence[Held], layout: Layout) -> tuple[LeftOut, ...]:
    name = (layout.recipe_folder / "sources.yaml").relative_to(layout.root).as_posix()
    sources = load_sources(found.read(name))
    return tuple(row for each in partial for row in left_out(each.output.target, each.missing, sources))
