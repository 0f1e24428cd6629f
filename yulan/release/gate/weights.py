"""Rules about labels and weights: a revision serves what its name says."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from yulan.errors import IntegrityError
from yulan.release.gate.bundle import Bundle, Folder
from yulan.release.names import MAIN, revision, step_of
from yulan.train.checkpoint.state import begins, read_state

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT = "checkpoint"


def steps_agree(bundle: Bundle) -> Iterator[str]:
    """The step in a revision's name is the trainer's, and that of AdamW plus the skipped ones."""
    for folder in bundle.of("states"):
        if folder.name == MAIN:
            continue
        state = read_state(folder.path / CHECKPOINT)
        if step_of(folder.name) != state.global_step:
            yield f"{folder} is at step {state.global_step}"
        if state.adam_step + len(state.skipped) != state.global_step:
            yield f"{folder}: {state.adam_step} updates and {len(state.skipped)} skipped steps are not {state.global_step}"
        if not folder.name.startswith(f"{state.cursor.phase}-step-"):
            yield f"{folder} is of {state.cursor.phase}"
    for folder in bundle.of("model"):
        name = bundle.aliases().get(folder.name, folder.name)
        if folder.content.summary.get("step") != step_of(name):
            yield f"{folder} says step {folder.content.summary.get('step')}"


def weights_are_the_masters(bundle: Bundle) -> Iterator[str]:
    """Released weights are, bit for bit, the stated type's cast of the fp32 master: as it is, or folded into Llama."""
    states = {folder.name: folder for folder in bundle.of("states")}
    for folder in bundle.of("model"):
        if folder.name in bundle.aliases():
            continue
        if folder.name not in states:
            yield f"{folder} has no states"
        else:
            yield from _compare(bundle, folder, states[folder.name])


def _compare(bundle: Bundle, model: Folder, states: Folder) -> Iterator[str]:
    import torch

    from yulan.release.weights import Lazy, released
    from yulan.train.checkpoint.read import read_checkpoint

    shape = bundle.book.recipe.model
    summary = model.content.summary
    there = _tensors(model)
    master = Lazy(read_checkpoint(states.path / CHECKPOINT))
    wanted = set()
    for name, tensor in released(master, shape, str(summary["architecture"]), str(summary["dtype"])):
        wanted.add(name)
        if name not in there:
            yield f"{model} lacks {name}"
        elif (
            (own := there[name]()).dtype != tensor.dtype
            or own.shape != tensor.shape
            or not torch.equal(_bits(own), _bits(tensor))
        ):
            yield f"{model}: {name} is not the master's"
        elif not bool(torch.isfinite(own).all()):
            yield f"{model}: {name} is not finite"
    yield from (f"{model} has another tensor, {name}" for name in sorted(there.keys() - wanted))


def _bits(tensor: "Tensor") -> "Tensor":
    import torch

    return tensor.contiguous().view(-1).view(torch.uint8)


def _tensors(model: Folder) -> "dict[str, Callable[[], Tensor]]":
    """How to read each released tensor; only what is asked for is in memory."""
    from safetensors import safe_open

    found: dict[str, Callable[[], Tensor]] = {}
    for path in sorted(model.path.glob("model*.safetensors")):
        opened = safe_open(path, framework="pt")
        found |= {name: partial(opened.get_tensor, name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    return found


def begins_follow(bundle: Bundle) -> Iterator[str]:
    """What a phase began re-balanced with is there, and its every tensor follows from its parent's end by the stated factors."""
    from yulan.train.checkpoint.rebalance import require_rebalanced

    recipe, states = bundle.book.recipe, {folder.name: folder for folder in bundle.of("states")}
    starts = {name: recipe.start(name) for name, phase in recipe.phases.items() if phase.rebalance}
    wanted = {name: revision(name, step) for name, step in starts.items()}
    for row in bundle.checkpoints:
        if row["begin"] != wanted.get(row["phase"], ""):
            yield f"{row['revision']}: checkpoints.csv says that {row['phase']} begins with {row['begin'] or 'its parent'}"
    for name in sorted(states.keys() - {MAIN} - set(wanted.values())):
        if begins(read_state(states[name].path / CHECKPOINT)) or _stated(states[name]) is not None:
            yield f"states/{name} is re-balanced, and the recipe does not say so"
    for phase, step in starts.items():
        made, parent = wanted[phase], revision(recipe.phase(phase).after, step)
        if missing := [name for name in (made, parent) if name not in states]:
            yield f"no states/{', states/'.join(missing)}: {phase} begins re-balanced"
            continue
        if not begins(read_state(states[made].path / CHECKPOINT)):
            yield f"states/{made} is no begin of a phase"
        try:
            require_rebalanced(states[parent].path / CHECKPOINT, states[made].path / CHECKPOINT)
        except IntegrityError as error:
            yield f"states/{made} {error.what}"
            yield from (f"states/{made}: {row}" for row in error.evidence)


def _stated(states: Folder) -> object:
    from yulan.train.checkpoint.rebalance import stated

    return stated(states.path / CHECKPOINT)


def weights_differ(bundle: Bundle) -> Iterator[str]:
    """Two revisions have equal weights only where checkpoints.csv declares an alias, or where a re-balancing states no factor."""
    aliases = bundle.aliases()
    for part, pattern in (("model", "model"), ("states", f"{CHECKPOINT}/weights")):
        by_weights: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for folder in bundle.of(part):  # type: ignore[arg-type]
            files = folder.content.files
            sums = tuple(f.sha256 for f in files if f.path.startswith(pattern) and f.path.endswith(".safetensors"))
            # No alpha was far enough from its start: the phase begins with its parent's own weights, and says so.
            if sums and not (part == "states" and _stated(folder) == {}):
                by_weights[sums].append(folder.name)
        for names in by_weights.values():
            if len({aliases.get(name, name) for name in names}) > 1:
                yield f"{part}: {' = '.join(names)}, and no alias is declared"
