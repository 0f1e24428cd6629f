"""EXACT, CLOSE or DIFFERENT: the published stretch against the same steps trained again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yulan import manifest
from yulan.errors import StateError
from yulan.layout import MANIFEST
from yulan.manifest import Determinism
from yulan.schema import check, plain
from yulan.train.checkpoint.state import State, read_state, read_tensors
from yulan.train.replay.band import Band, Excess, outside
from yulan.train.replay.challenge import Challenge
from yulan.train.replay.measure import Distances, distances
from yulan.train.replay.segment import Segment

Word = Literal["EXACT", "CLOSE", "DIFFERENT"]
COMPARED = ("batch", "loss", "grad_norm")
"""Of each row, in the order in which a step makes them."""
ANYWHERE = ("keys", "global_step", "phase_step", "tokens", "cursor", "skipped", "adam_step", "lr", "rng", "fresh_optimizer")
"""Parts of state.json that no machine changes."""
WITHIN = ("trajectory", "determinism", "chain", "watched")
"""Parts that are equal too where the class was the same all along; the chain covers metrics.jsonl as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Differing:
    """The first thing that is not equal bit for bit."""

    name: str
    """Of a row: `batch`, `loss`, `grad_norm`. Of a tensor: set and name."""
    step: int
    """Global."""
    published: str | None
    """Hex float or digest; null: absent."""
    replayed: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    step: int
    """Global."""
    checkpoint: str
    """Content digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay found: the JSON that `yulan replay --json` prints."""

    format: int
    verdict: Word
    asked: Literal["EXACT", "CLOSE"]
    """EXACT on a machine of the published class; else CLOSE, and no replay can prove more."""
    reason: str
    """Of `asked`."""
    recipe: str
    phase: str
    start: End
    end: End
    """The published checkpoint that the stretch leads to."""
    steps: int
    """Trained again, from the start on."""
    states_compared: bool
    """Whether they lead to the end; else rows alone were compared."""
    published: Determinism
    replayed: Determinism
    first_step: Differing | None
    first_state: str | None
    """First part of state.json that differs and should not."""
    first_tensor: Differing | None
    distances: Mapping[str, float]
    """The largest ones; empty where every bit is equal."""
    band: str | None
    """Digest of the band that it was judged by."""
    outside: tuple[Excess, ...]
    """What lies outside the band."""
    challenge: Challenge | None

    @property
    def equal(self) -> bool:
        return self.first_step is None and self.first_state is None and self.first_tensor is None


def asked(end: State, own: Determinism) -> tuple[Literal["EXACT", "CLOSE"], str]:
    """What a machine of class `own` may ask of a checkpoint, and why."""
    told = end.determinism
    if told is None:
        return "CLOSE", "the checkpoint names no class"
    if told == own:
        changed_once = "" if end.trajectory == "EXACT" else ", and it was another one on the way there"
        return "EXACT", f"this machine is of the class that the checkpoint names{changed_once}"
    names = ("isa", "threads", "ranks", "zero", "precision", "attention", "torch")
    changed = [f"{n} {getattr(own, n)} here, {getattr(told, n)} there" for n in names if getattr(own, n) != getattr(told, n)]
    return "CLOSE", "; ".join(changed)


def conclusive(end: State, own: Determinism) -> bool:
    """Whether a bit that differs is proof: the class is the same, and was so at every published step."""
    return asked(end, own)[0] == "EXACT" and end.trajectory == "EXACT"


def judge(
    segment: Segment,
    rows: Sequence[Mapping[str, Any]],
    reached: Path,
    own: Determinism,
    *,
    band: Band | None = None,
    challenge: Challenge | None = None,
) -> Replayed:
    """Compare a stretch with its replay: `rows` of its log, `reached` its last checkpoint.

    Raises: StateError: only a band could tell, and there is none.
    """
    state = read_state(segment.end)
    question, reason = asked(state, own)
    ends = (segment.end, reached) if segment.whole else None
    step = _first_step(segment.rows[: segment.steps], rows)
    proof = conclusive(state, own)
    part = _first_state(state, read_state(reached), ANYWHERE + (WITHIN if proof else ())) if ends else None
    tensor = _first_tensor(*ends) if ends else None
    equal = step is None and part is None and tensor is None
    found, excess = Distances(rows={}, tensors={}), list[Excess]()
    if not equal:
        found = distances((segment.rows[: segment.steps], rows), segment.start, ends)
        if band is not None:
            excess = outside(band, segment.rows[0]["step"], found)
    if equal:
        word: Word = question
    elif proof or part is not None or _other_batch(segment.rows, rows) or excess:
        word = "DIFFERENT"
    else:
        require_band(band)
        word = "CLOSE"
    return Replayed(
        format=1,
        verdict=word,
        asked=question,
        reason=reason,
        recipe=state.recipe,
        phase=segment.phase,
        start=_end(segment.start),
        end=_end(segment.end),
        steps=segment.steps,
        states_compared=segment.whole,
        published=state.determinism or own,
        replayed=own,
        first_step=step,
        first_state=part,
        first_tensor=tensor,
        distances=_largest(found),
        band=band.digest if band else None,
        outside=tuple(excess),
        challenge=challenge,
    )


def require_band(band: Band | None) -> Band:
    if band is None:
        raise StateError(
            "only CLOSE can be said here, and there is no band to judge by",
            where="--band",
            cure="Make one with: yulan replay CHECKPOINT --calibrate FILE; or choose a profile of the checkpoint's class",
        )
    return band


def _end(checkpoint: Path) -> End:
    return End(step=read_state(checkpoint).global_step, checkpoint=manifest.read(checkpoint / MANIFEST).digest)


def _first_step(published: Sequence[Mapping[str, Any]], replayed: Sequence[Mapping[str, Any]]) -> Differing | None:
    for one, other in zip(published, replayed, strict=True):
        for name in COMPARED:
            if one[name] != other[name]:
                return Differing(name=name, step=one["step"], published=one[name], replayed=other[name])
    return None


def _other_batch(published: Sequence[Mapping[str, Any]], replayed: Sequence[Mapping[str, Any]]) -> bool:
    return any(one["batch"] != other["batch"] for one, other in zip(published, replayed, strict=False))


def _first_state(published: State, replayed: State, names: Sequence[str]) -> str | None:
    one, other = plain(published), plain(replayed)
    return next((name for name in names if one[name] != other[name]), None)


def _first_tensor(published: Path, replayed: Path) -> Differing | None:
    step = read_state(published).global_step
    sums = [{f"{row.set} {row.name}": row.sha256 for row in read_tensors(folder).tensors} for folder in (published, replayed)]
    for name in [*sums[0], *(name for name in sums[1] if name not in sums[0])]:
        if sums[0].get(name) != sums[1].get(name):
            return Differing(name=name, step=step, published=sums[0].get(name), replayed=sums[1].get(name))
    return None


def _largest(found: Distances) -> dict[str, float]:
    told = {field: max(values) for field, values in found.rows.items()}
    for kind, spread in found.tensors.items():
        told |= {f"{kind} largest": spread.largest, f"{kind} median": spread.median}
    return told


def verdict_json(found: Replayed) -> Any:
    """Raises: RecipeError: a value breaks the schema."""
    check(plain(found), "replayed", "replay")
    return plain(found)


def sentence(found: Replayed) -> str:
    """One line for people, and more where something differs."""
    stretch = f"steps {found.start.step + 1} to {found.start.step + found.steps} of {found.phase}"
    what = "log rows, weights and moments" if found.states_compared else "log rows (the states at the end were not reached)"
    if found.equal and found.verdict == "EXACT":
        return f"EXACT: {stretch}: {what} are equal bit for bit"
    if found.verdict == "CLOSE":
        equal = "; every bit is equal too" if found.equal else ""
        return f"CLOSE: {stretch}: consistent with what is published, not proved ({found.reason}){equal}"
    lines = [f"DIFFERENT: {stretch}"]
    if found.asked == "CLOSE" or found.band:
        for each in found.outside[:3]:
            at = f"step {each.step}" if each.step else each.tensor or "over all tensors"
            lines.append(f"  outside the band: {each.what}, {at}: {each.distance:.1e} apart, limit {each.limit:.1e}")
    if found.first_step:
        first = found.first_step
        lines.append(
            f"  first step that differs: {first.step}, {first.name}: published {first.published}, replayed {first.replayed}"
        )
    if found.first_state:
        lines.append(f"  first part of state.json that differs: {found.first_state}")
    if found.first_tensor:
        tensor = found.first_tensor
        lines.append(f"  first tensor that differs: {tensor.name} after step {tensor.step}")
    return "\n".join(lines)
