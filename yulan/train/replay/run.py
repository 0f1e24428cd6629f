"""Train a published stretch again, and calibrate what it may differ by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest, files, manifest
from yulan.errors import StateError
from yulan.layout import MANIFEST, Layout, Place
from yulan.manifest import Determinism
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import plain
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import read_state
from yulan.train.determinism import determinism_of
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import REPLAY
from yulan.train.phase import Plan, train_phase
from yulan.train.replay.band import Band, make_band, require_enough, require_fitting
from yulan.train.replay.challenge import Challenge
from yulan.train.replay.segment import Segment, require_keys
from yulan.train.replay.verdict import Replayed, asked, judge, require_band


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a replay trains with."""

    recipe: Recipe
    profile: Profile
    layout: Layout
    """The clone whose artifacts hold the data."""

    def folder(self, segment: Segment, profile: Profile, name: str = "replay") -> Path:
        """A working folder that no other replay shares: a stopped one goes on in it."""
        ends = [manifest.read(each / MANIFEST).digest for each in (segment.start, segment.end)]
        told = {name: ends, "steps": segment.steps, "profile": plain(profile), "class": plain(determinism_of(profile))}
        return self.layout.runs(segment.phase, digest.of_json(told))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    determinism: Determinism
    rows: Sequence[Mapping[str, Any]]
    """Of the replay log, one a step."""
    reached: Path
    """The checkpoint after the last step."""


def retrain(segment: Segment, bench: Bench, profile: Profile, into: Path, look: Callable[[], None]) -> Trained:
    """Take the segment's steps once more, in `into`.

    Raises: RecipeError, StateError, IntegrityError: checkpoint, recipe and data do not fit; TrainError.
    """
    mix, shards = _data(bench.layout, "mix", segment.phase), _data(bench.layout, "shards")
    first, last = read_state(segment.start), read_state(segment.end)
    plan = Plan(
        recipe=bench.recipe,
        phase=segment.phase,
        profile=profile,
        mix=mix.data,
        mix_digest=manifest.read(mix.manifest).digest,
        shards=shards.data,
        parent=segment.start,
        steps=segment.target,
        fresh_optimizer=last.fresh_optimizer and not first.fresh_optimizer,
    )
    train_phase(plan, into, look)
    rows = [row for row in files.complete_rows(into / REPLAY) if row["step"] > first.global_step]
    reached = into / CHECKPOINTS / step_name(first.global_step + segment.steps)
    return Trained(determinism=determinism_of(profile), rows=rows[: segment.steps], reached=reached)


def _data(layout: Layout, stage: str, phase: str | None = None) -> Place:
    """Raises: StateError: the artifact is not there; IntegrityError: a byte differs."""
    place = layout.stage(stage, phase)
    if not place.manifest.exists() or not place.data.exists():
        target = f"{stage}@{phase}" if phase else stage
        raise StateError(
            "the data to replay on is not there", where=place.folder, cure=f"Fetch or build it: dvc pull {target}, or dvc repro"
        )
    manifest.require_whole(place)
    return place


def replay(
    segment: Segment,
    bench: Bench,
    *,
    into: Path | None,
    band: Band | None,
    band_at: Path | None,
    challenge: Challenge | None,
    look: Callable[[Path], Callable[[], None]],
) -> Replayed:
    """Train a stretch again and judge it; `into` stays, a folder below runs/ is removed once it was judged.

    Raises: RecipeError: the recipe is another one; StateError: no verdict is possible on this machine without a band.
    """
    state = read_state(segment.end)
    require_keys(state, bench.recipe, segment.phase, segment.end)
    if band is not None:
        require_fitting(band, bench.recipe, segment.phase, segment.start, segment.steps, band_at or segment.end)
    if asked(state, determinism_of(bench.profile))[0] == "CLOSE":
        require_band(band)
    folder = into or bench.folder(segment, bench.profile)
    made = retrain(segment, bench, bench.profile, folder, look(folder))
    found = judge(segment, made.rows, made.reached, made.determinism, band=band, challenge=challenge)
    if into is None:
        files.remove(folder)
    return found


def calibrate(
    segment: Segment, bench: Bench, profiles: Sequence[Profile], into: Path | None, look: Callable[[Path], Callable[[], None]]
) -> Band:
    """Train a stretch on several machines, the reference first; nothing of what was published but its start is used.

    Raises: RecipeError: the recipe is another one; StateError: too few runs, or none that differs.
    """
    require_keys(read_state(segment.end), bench.recipe, segment.phase, segment.end)
    require_enough(len(profiles) - 1)
    runs, folders = [], list[Path]()
    for number, profile in enumerate(profiles):
        name = f"{number}-{profile.processes}x{profile.threads}"
        folder = into / name if into else bench.folder(segment, profile, name)
        folders.append(folder)
        made = retrain(segment, bench, profile, folder, look(folder))
        runs.append((made.determinism, made.rows, made.reached))
    band = make_band(bench.recipe, segment.phase, segment.start, runs)
    for folder in folders if into is None else ():
        files.remove(folder)
    return band
