"""The states repository: what continuing needs, a branch a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from yulan import files
from yulan.data.tokenizer import CONFIG
from yulan.release.bundle.inputs import Inputs
from yulan.release.bundle.papers import place_policy
from yulan.release.card.write import write_cards
from yulan.release.export import End
from yulan.release.seal import seal
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.rebalance import FACTORS, stated

CHECKPOINT, TOKENIZER = "checkpoint", "tokenizer"
TOKENIZER_FILE = "tokenizer.json"
LOGS = ("metrics.jsonl", "replay.jsonl", "watch.jsonl")


def lay_states(inputs: Inputs, end: End, folder: Path, data: str) -> str:
    """Fill one checkpoint's folder; returns its content digest. `data` is that of the data repository."""
    recipe = inputs.book.recipe
    for log in LOGS:
        files.link(inputs.trained[end.phase] / log, folder / log)
    last = inputs.end_of(end)
    following = next((name for name, phase in recipe.phases.items() if phase.after == end.phase and end == last), None)
    return _lay(inputs, end, last, folder, {"data/main": data}, {}, next=following, parent=None)


def lay_begin(inputs: Inputs, begin: End, folder: Path, data: str, states: Mapping[str, str]) -> str:
    """Fill the folder of what a phase began re-balanced with; it pins its parent's end, among `states`, and states each c."""
    parent = inputs.parent_of(begin).revision
    pins = {"data/main": data, f"states/{parent}": states[parent]}
    moved = {FACTORS: stated(begin.folder)}
    return _lay(inputs, begin, inputs.end_of(begin), folder, pins, moved, next=begin.phase, parent=parent)


def _lay(
    inputs: Inputs, at: End, end: End, folder: Path, pins: Mapping[str, str], told: Mapping[str, object], **card: object
) -> str:
    """What the folders of all checkpoints have; `end` is that of the phase, whose tokenizer was exported."""
    recipe = inputs.book.recipe
    inputs.place_common(folder, recipe.release.licences.states)
    files.link_tree(at.folder, folder / CHECKPOINT)
    # Whoever goes on with text of their own needs the ids that the weights learned.
    for name in (TOKENIZER_FILE, CONFIG):
        files.link(inputs.exported / end.revision / name, folder / TOKENIZER / name)
    place_policy(inputs, folder)
    write_cards(folder, "states", {}, **inputs.common(), main=False, revision=at.revision, phase=at.phase, **card)
    state = read_checkpoint(at.folder).state
    pins = {**pins, f"train@{at.phase}": inputs.digests[f"train@{at.phase}"]}
    summary = {"phase": at.phase, "step": state.global_step, "tokens": state.tokens, "trajectory": state.trajectory, **told}
    return seal(folder, name=f"{recipe.name}/states/{at.revision}", inputs=pins, keys={}, summary=summary).digest


def lay_index(inputs: Inputs, folder: Path, states: Mapping[str, str], checkpoints: str) -> str:
    """`main`: what there is, and how it came about."""
    recipe = inputs.book.recipe
    inputs.place_common(folder, recipe.release.licences.states)
    for name, manifest in inputs.lineage.items():
        files.copy(manifest, folder / "lineage" / f"{name}.json")
    for table in sorted(inputs.figures.glob("*.csv")):
        files.link(table, folder / "tables" / table.name)
    files.write_text(folder / "checkpoints.csv", checkpoints)
    place_policy(inputs, folder)
    write_cards(folder, "states", {}, **inputs.common(), main=True, revision="main", phase="", next="PHASE", parent=None)
    pins = {f"states/{name}": digest for name, digest in states.items()}
    return seal(folder, name=f"{recipe.name}/states/main", inputs=pins, keys={}, summary={"checkpoints": len(states)}).digest
