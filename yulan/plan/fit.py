"""Whether a checkpoint's training fits a machine. No torch: state.json says what model it is."""

from dataclasses import dataclass
from pathlib import Path

from yulan.errors import DataError, RecipeError, StateError
from yulan.model.shape import parameters
from yulan.plan.activations import kept
from yulan.plan.states import States, states
from yulan.profile import Profile
from yulan.recipe import Model, Phase
from yulan.schema import structure, suggest
from yulan.train.checkpoint.state import STATE, read_state, read_tensors

BUCKET = 500_000_000
"""Most numbers that the engine exchanges in one call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Bytes that going on from a checkpoint takes, on each device and on its host."""

    checkpoint: str
    """Name of its folder."""
    step: int
    phase: str
    """Whose batch, grid and context are taken."""
    parameters: int
    moments: bool
    """Optimizer states are there."""
    states: States
    bucket: int
    """One buffer of gradients on their way."""
    activations: int
    """What a micro-batch keeps for backward."""
    recomputed: int
    """The same if each layer kept its input only, and computed the rest again."""
    snapshot: int
    """Copy of a rank's states while a checkpoint is written behind the training; 0 on a GPU, whose host holds it."""
    device: int
    """Bytes a process may use, as the profile says."""
    host: int
    """Of all processes of one node, the larger of two: the fp32 model as it is made, before it moves to the devices, and the copy
    of a save. On CPU the same as needed."""
    disk: int
    """Of the checkpoint that is read, and of each one that is written."""

    @property
    def needed(self) -> int:
        return self.states.total + self.bucket + self.activations + self.snapshot

    @property
    def least(self) -> int:
        """Needed with each layer computed again."""
        return self.needed - self.activations + self.recomputed

    @property
    def fits(self) -> bool:
        return self.needed <= self.device


def fit(folder: Path, profile: Profile, phase: str | None, phases: dict[str, Phase]) -> Fit:
    """What training on from `folder` takes; `phases` of the recipe in use are asked for a phase that the checkpoint lacks.

    Raises: StateError: no checkpoint; RecipeError: no such phase; DataError: its state does not say which model it is.
    """
    place = next((place for place in (folder, folder / "checkpoint") if (place / STATE).is_file()), None)
    if place is None:
        raise StateError(
            "has no state.json", where=folder, cure="Name a checkpoint's folder, as training or `yulan pull` makes it"
        )
    state, table = read_state(place), read_tensors(place)
    own = {key.removeprefix("phases."): value for key, value in state.keys.items() if key.startswith("phases.")}
    if "model" not in state.keys or not (own or phases):
        raise DataError("does not say what model and phase it is of", where=place / STATE, cure="Fetch the checkpoint again")
    model = structure(state.keys["model"], Model)
    known = phases | {name: structure(value, Phase) for name, value in own.items()}
    name = phase or state.cursor.phase or next(iter(known))
    if name not in known:
        raise RecipeError(f"neither checkpoint nor recipe has a phase {name!r}", where=place, cure=suggest(name, sorted(known)))
    found = parameters(model)
    numbers, low = sum(p.size for p in found), 4 if profile.precision == "fp32" else 2
    held = states(found, profile, profile.zero, known[name].grid)
    bucket = low * min(BUCKET, numbers) if profile.zero and profile.processes > 1 else 0
    tokens = known[name].batch // known[name].grid * known[name].context
    activations = kept(model, tokens, low)
    copy = 12 * (-(-numbers // profile.processes) if profile.zero else numbers)
    snapshot = copy if profile.device == "cpu" else 0
    needed = held.total + bucket + activations + snapshot
    on_a_node = -(-profile.processes // (profile.slurm.nodes if profile.slurm else 1))
    return Fit(
        checkpoint=place.name,
        step=state.global_step,
        phase=name,
        parameters=numbers,
        moments=any(row.set == "exp_avg" for row in table.tensors),
        states=held,
        bucket=bucket,
        activations=activations,
        recomputed=kept(model, tokens, low, recompute=True),
        snapshot=snapshot,
        device=profile.device_memory,
        host=on_a_node * (needed if profile.device == "cpu" else max(4 * numbers, copy)),
        disk=12 * numbers,
    )
