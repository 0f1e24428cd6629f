"""state.json and watched.json: all that the next step needs besides tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from yulan.errors import DataError
from yulan.manifest import Determinism
from yulan.schema import check, load_json, plain, read_json, structure

FORMAT = 1
STATE, TENSORS, WATCHED = "state.json", "tensors.json", "watched.json"
Trajectory = Literal["EXACT", "CLOSE"]
Precision = Literal["fp32", "bf16", "fp8"]
"""How moments are stored."""
Target = Literal["universal", "dcp", "hf-trainer"]
"""Whose files an export makes."""
GENESIS = "0" * 64
"""What the first row of a path's logs is chained to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where the data stands. Batches are addressed by it; none before is ever replayed."""

    phase: str | None
    """Null before the first phase."""
    windows: int
    """Consumed in the phase, those of skipped steps included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Digests of the last log rows; each covers every row before it, along the whole path."""

    metrics: str
    replay: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """watched.json: what the next step of the phase is judged by."""

    losses: tuple[float, ...]
    """Of the newest accepted steps of the phase, in nats a token, oldest first."""
    norms: tuple[float, ...]
    """Their gradient norms before clipping."""
    refused: tuple[int, ...]
    """Steps of the phase that were refused of late, since training last went back."""
    rollbacks: int
    """Times that training went back in the phase."""
    back: int
    """Step of the phase whose checkpoint it last went back to; 0: to the phase's begin, or never."""
    since: int
    """Step of the phase at which it last did; 0: never."""


NOTHING = Watched(losses=(), norms=(), refused=(), rollbacks=0, back=0, since=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class StateFile:
    """state.json."""

    format: int
    recipe: str
    keys: Mapping[str, Any]
    """Recipe keys that training depends on, with their values: a checkpoint alone says what model it is."""
    global_step: int
    """Optimizer steps along the path, skipped ones included."""
    phase_step: int
    tokens: int
    """Trained on along the path."""
    cursor: Cursor
    skipped: tuple[int, ...]
    """Global steps without an update."""
    adam_step: int
    """Updates along the path: AdamW's bias correction counts these."""
    lr: float
    """Of the last step."""
    rng: str
    """Torch's CPU generator, hex."""
    chain: Chain
    trajectory: Trajectory
    """EXACT while every step ran under `determinism`; CLOSE since something changed."""
    fresh_optimizer: bool
    """Someone went on without the moments."""
    determinism: Determinism | None
    """Null before the first step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State(StateFile):
    """Both files."""

    watched: Watched = NOTHING
    """In a file of its own, which is absent where nothing was seen: before any step, or trained by another program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRow:
    """One tensor in tensors.json."""

    name: str
    """As published."""
    set: str
    """`weights` (fp32 master), `exp_avg` or `exp_avg_sq`."""
    file: str
    dtype: str
    shape: tuple[int, ...]
    """Full, whatever the number of ranks was."""
    sha256: str
    """Of the little-endian bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorTable:
    """tensors.json."""

    format: int
    tensors: tuple[TensorRow, ...]


def begins(state: State) -> bool:
    """Whether it is the re-balanced checkpoint that its phase began with."""
    return state.cursor.phase is not None and state.phase_step == 0


def identity(state: State) -> dict[str, Any]:
    """What a checkpoint's manifest repeats of its state."""
    return {
        "stage": "checkpoint",
        "name": f"{state.recipe}/{state.cursor.phase}" if state.cursor.phase else state.recipe,
        "keys": dict(state.keys),
        "summary": {"global_step": state.global_step, "tokens": state.tokens, "trajectory": state.trajectory},
        "determinism": state.determinism,
    }


def read_state(folder: Path) -> State:
    """Raises: DataError: no state.json, or it or watched.json breaks its schema."""
    state = read_json(folder / STATE, "state", State)
    if not (folder / WATCHED).exists():
        return state
    raw = load_json(folder / WATCHED)
    check(raw, "watched", folder / WATCHED, DataError)
    return replace(state, watched=structure(raw, Watched))


def read_tensors(folder: Path) -> TensorTable:
    """Raises: DataError: no tensors.json, or it breaks its schema."""
    return read_json(folder / TENSORS, "tensors", TensorTable)


def state_files(state: State) -> dict[str, Any]:
    """Contents by file name.

    Raises: DataError: a value breaks its schema.
    """
    raw = plain(state)
    found = {STATE: raw, WATCHED: raw.pop("watched")}
    if state.watched == NOTHING:
        del found[WATCHED]
    for name, value in found.items():
        check(value, name.removesuffix(".json"), name, DataError)
    return found
