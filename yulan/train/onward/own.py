"""Go on with text and a phase that someone brings. All it needs stands in the folder gone on from; no clone is around."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, files, manifest
from yulan.data import tokenizer
from yulan.data.own.write import Given, Origin, survey, write_own
from yulan.data.pack import Header
from yulan.data.packing import index_phase
from yulan.data.shard import document_starts, read_shards, write_shards
from yulan.data.tokenizer import Codec
from yulan.errors import RecipeError, StateError
from yulan.layout import MANIFEST, Layout, Place
from yulan.manifest import Manifest
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import plain, suggest
from yulan.train.able import require_able
from yulan.train.launch.job import CHECKPOINTS, LOCK
from yulan.train.onward.base import base_of
from yulan.train.onward.clone import steps_of
from yulan.train.onward.phase import PhaseFile, extend, write_recipe
from yulan.train.onward.record import LINEAGE, Text, write_record
from yulan.train.onward.start import (
    MIX,
    SHARDS,
    TOKENIZER,
    TOKENIZER_FILE,
    Start,
    find_start,
    find_tokenizer,
    require_moments,
    taken_before,
)
from yulan.train.phase import Outcome, Plan, train_phase

UNKNOWN = "unknown"
TEXTS = "texts.partial"
"""The documents while they are tokenised; swept afterwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """What someone brings."""

    file: PhaseFile
    path: Path
    """Of the phase file, for messages."""
    data: Mapping[str, Given]
    """By source."""
    licences: Mapping[str, str]
    """SPDX ids by source; the others are unknown."""
    tokenizer: Path | None
    """Folder; None: the one beside the checkpoint."""


def continue_with(
    folder: Path,
    into: Path,
    brought: Brought,
    profile: Profile,
    *,
    steps: int | None,
    fresh_optimizer: bool,
    say: Callable[[str], None],
    look: Callable[[], None],
) -> Outcome:
    """Tokenise, pack and train in `into`; stopped anywhere, the same call goes on. Nothing in `folder` is changed.

    `say` is told what becomes of the text, `look` is called again and again while the ranks train.

    Raises: RecipeError, DataError, StateError, IntegrityError: what was brought does not fit; TrainError.
    """
    start, file = find_start(folder), brought.file
    require_moments(start.checkpoint, start.state, fresh_optimizer)
    recipe = extend(start.recipe, start.state, file, brought.path)
    require_named(brought)
    require_able(profile, recipe.phase(file.name))
    end = steps_of(file.name, recipe.phase(file.name).steps, 0, steps)
    require_own(into, start, file)
    lock = files.lock(into / LOCK)
    try:
        shards, origins, pinned = _tokens(start, into, brought, recipe, say)
        mix, header = _pack(start, into, shards, origins, recipe, file)
        write_recipe(recipe, file, into)
    finally:
        os.close(lock)
    plan = Plan(
        recipe=recipe,
        phase=file.name,
        profile=profile,
        mix=mix.data,
        mix_digest=manifest.read(mix.manifest).digest,
        shards=shards.data,
        parent=start.checkpoint,
        steps=end,
        fresh_optimizer=fresh_optimizer,
    )
    base = base_of(folder, start.checkpoint)
    outcome = train_phase(plan, into, look)
    _keep_lineage(start, into, file.name)
    sources = {
        name: Text(
            licence=brought.licences.get(name, UNKNOWN),
            digest=origins[name].digest,
            tokens=span.quota,
            repeated=span.repeated,
        )
        for name, span in header.sources.items()
        if span.quota
    }
    write_record(into, plan, outcome, shards=manifest.read(shards.manifest).digest, tokenizer=pinned, sources=sources, base=base)
    return outcome


def require_named(brought: Brought) -> None:
    """Raises: RecipeError: the mix names a source without data, or data or a licence is given that no source takes."""
    wanted = sorted(brought.file.mix.sources)
    for name in wanted:
        if name not in brought.data:
            raise RecipeError(
                f"no data for the source {name!r}", where=f"{brought.path}: $.mix.sources", cure=f"Give it: --data {name}=PATH"
            )
    for option, names in (("--data", brought.data), ("--licence", brought.licences)):
        for name in names:
            if name not in wanted:
                raise RecipeError(f"the mix has no source {name!r}", where=option, cure=suggest(name, wanted))


def require_own(into: Path, start: Start, file: PhaseFile) -> None:
    """Raises: StateError: `into` holds what is not this command's: strangers' files, the checkpoint, a run of another phase."""
    if into.is_dir() and any(into.iterdir()) and not (into / LOCK).exists():
        raise StateError("holds files of others", where=into, cure="Choose an empty folder with --into")
    if start.home.resolve() in (into.resolve(), *into.resolve().parents):
        raise StateError("is or lies in the folder that is gone on from", where=into, cure="Choose another one with --into")
    packed = into / MIX / MANIFEST
    if packed.is_file() and (into / CHECKPOINTS).exists():
        before, now = manifest.read(packed).keys["phase"], plain(file)
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            raise StateError(
                f"holds a run of another phase; changed: {', '.join(changed)}",
                where=into,
                cure="Choose another folder with --into, or undo the change",
            )


def _tokens(
    start: Start, into: Path, brought: Brought, recipe: Recipe, say: Callable[[str], None]
) -> tuple[Place, dict[str, Origin], str]:
    """Shards of the text that was brought, unless they are there; with its origins and the tokenizer's sha256."""
    folder = find_tokenizer(start, brought.tokenizer)
    settings, pinned = recipe.data.shards, digest.of_file(folder / TOKENIZER_FILE)
    codec = tokenizer.load(folder, recipe.data.tokenizer, begin_with_bos=settings.begin_with_bos)
    _require_vocabulary(codec, recipe, folder)
    origins = survey(brought.data)
    inputs = {"tokenizer": pinned} | {f"text/{name}": origin.digest for name, origin in origins.items()}
    place = Place(folder=into / SHARDS)
    found = _sealed(place)
    if found is not None and dict(found.inputs) == inputs:
        return place, origins, pinned
    if found is not None and (into / CHECKPOINTS).exists():
        changed = sorted(name for name in found.inputs.keys() | inputs.keys() if found.inputs.get(name) != inputs.get(name))
        raise StateError(
            f"holds a run on other data; changed: {', '.join(changed)}",
            where=into,
            cure="Choose another folder with --into, or give the same files",
        )
    texts = into / TEXTS
    for each in (place.folder, texts):
        files.remove(each)
    own = write_own(brought.data, origins, texts, place.data, say)
    say("tokenising")
    made = write_shards(texts, codec, settings, place.data, wanted=brought.file.mix.sources)
    files.remove(texts)
    files.copy(folder / TOKENIZER_FILE, into / TOKENIZER / TOKENIZER_FILE)
    manifest.seal(
        place,
        Layout(root=into, recipe=recipe.name),
        stage="shards",
        inputs=inputs,
        keys=recipe.keys("data.shards", "data.tokenizer.bos", "data.tokenizer.eos"),
        summary={
            name: {
                "documents": source.documents,
                "duplicates": source.duplicates,
                "rejected": sum(source.rejected.values()),
                "tokens": made.sources[name].train.tokens,
                "held_tokens": made.sources[name].held.tokens,
            }
            for name, source in own.sources.items()
        },
    )
    return place, origins, pinned


def _require_vocabulary(codec: Codec, recipe: Recipe, folder: Path) -> None:
    """Raises: StateError: a tokenizer of another size than the release's."""
    wanted = recipe.data.tokenizer.vocab_size
    if codec.vocab_size != wanted:
        raise StateError(
            f"a tokenizer of {codec.vocab_size} entries, and the checkpoint learned one of {wanted}",
            where=folder,
            cure="Name the release's own with --tokenizer",
        )


def _sealed(place: Place) -> Manifest | None:
    """The manifest of a place whose every byte is as listed; None where something is missing."""
    if not place.manifest.is_file() or not place.data.is_dir():
        return None
    found = manifest.read(place.manifest)
    return None if manifest.differences(place.data, found) else found


def _pack(
    start: Start, into: Path, shards: Place, origins: Mapping[str, Origin], recipe: Recipe, file: PhaseFile
) -> tuple[Place, Header]:
    """The pack index of the phase. It is quick to make, and equal each time."""
    phase, place, index = recipe.phase(file.name), Place(folder=into / MIX), read_shards(shards.data)
    taken = taken_before(start, {name: origin.digest for name, origin in origins.items()})
    files.remove(place.folder)
    made = index_phase(
        place.data,
        packing=phase.packing,
        portions=file.mix,
        windows=phase.windows,
        context=phase.context,
        shards=index,
        starts=lambda name: document_starts(shards.data, name),
        taken=taken,
    )
    spans = made.header.sources
    manifest.seal(
        place,
        Layout(root=into, recipe=recipe.name),
        stage="mix",
        phase=file.name,
        inputs={"shards": manifest.read(shards.manifest).digest},
        keys={"phase": plain(file)},
        summary=made.summary
        | {
            "dropped": phase.dropped,
            "repeated": sum(span.repeated for span in spans.values()),
            "sources": {name: span.quota for name, span in spans.items() if span.quota},
        },
    )
    return place, made.header


def _keep_lineage(start: Start, into: Path, phase: str) -> None:
    """What led to the checkpoint, as its folder tells it, and the manifests made here: each names its inputs by digest."""
    before = start.home / LINEAGE
    for path in sorted(before.rglob("*.json")) if before.is_dir() else []:
        files.copy(path, into / LINEAGE / path.relative_to(before))
    for name in (SHARDS, MIX):
        files.copy(Place(folder=into / name).manifest, into / LINEAGE / name / f"{phase}.json")
    files.copy(start.checkpoint / MANIFEST, into / LINEAGE / "checkpoint" / f"{start.state.cursor.phase or 'init'}.json")
