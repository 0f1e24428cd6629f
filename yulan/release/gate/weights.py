"""Rules about labels and weights: a revision serves what its name says."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from yulan.release.gate.bundle import Bundle, Folder
from yulan.release.names import MAIN, step_of
from yulan.train.checkpoint.state import read_state

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


def weights_differ(bundle: Bundle) -> Iterator[str]:
    """Two revisions have equal weights only where checkpoints.csv declares an alias."""
    aliases = bundle.aliases()
    for part, pattern in (("model", "model"), ("states", f"{CHECKPOINT}/weights")):
        by_weights: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for folder in bundle.of(part):  # type: ignore[arg-type]
            files = folder.content.files
            sums = tuple(f.sha256 for f in files if f.path.startswith(pattern) and f.path.endswith(".safetensors"))
            if sums:
                by_weights[sums].append(folder.name)
        for names in by_weights.values():
            if len({aliases.get(name, name) for name in names}) > 1:
                yield f"{part}: {' = '.join(names)}, and no alias is declared"
