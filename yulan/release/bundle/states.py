"""The states repository: what continuing needs, a branch a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from yulan import files
from yulan.data.tokenizer import CONFIG
from yulan.release.bundle.inputs import Inputs
from yulan.release.card.write import write_card
from yulan.release.export import End
from yulan.release.seal import seal
from yulan.train.checkpoint.read import read_checkpoint

CHECKPOINT, TOKENIZER = "checkpoint", "tokenizer"
TOKENIZER_FILE = "tokenizer.json"
LOGS = ("metrics.jsonl", "replay.jsonl")


def lay_states(inputs: Inputs, end: End, folder: Path, data: str) -> str:
    """Fill one checkpoint's folder; returns its content digest. `data` is that of the data repository."""
    recipe = inputs.book.recipe
    inputs.place_common(folder, recipe.release.licences.states)
    files.link_tree(end.folder, folder / CHECKPOINT)
    for log in LOGS:
        files.link(inputs.trained[end.phase] / log, folder / log)
    # Whoever goes on with text of their own needs the ids that the weights learned.
    for name in (TOKENIZER_FILE, CONFIG):
        files.link(inputs.exported / end.revision / name, folder / TOKENIZER / name)
    following = next((name for name, phase in recipe.phases.items() if phase.after == end.phase), None)
    write_card(folder, "states", {}, **inputs.common(), main=False, revision=end.revision, phase=end.phase, next=following)
    state = read_checkpoint(end.folder).state
    pins = {"data/main": data, f"train@{end.phase}": inputs.digests[f"train@{end.phase}"]}
    summary = {"phase": end.phase, "step": state.global_step, "tokens": state.tokens, "trajectory": state.trajectory}
    return seal(folder, name=f"{recipe.name}/states/{end.revision}", inputs=pins, keys={}, summary=summary).digest


def lay_index(inputs: Inputs, folder: Path, states: Mapping[str, str], checkpoints: str) -> str:
    """`main`: what there is, and how it came about."""
    recipe = inputs.book.recipe
    inputs.place_common(folder, recipe.release.licences.states)
    for name, manifest in inputs.lineage.items():
        files.copy(manifest, folder / "lineage" / f"{name}.json")
    for table in sorted(inputs.figures.glob("*.csv")):
        files.link(table, folder / "tables" / table.name)
    files.write_text(folder / "checkpoints.csv", checkpoints)
    write_card(folder, "states", {}, **inputs.common(), main=True, revision="main", phase="", next="PHASE")
    pins = {f"states/{name}": digest for name, digest in states.items()}
    return seal(folder, name=f"{recipe.name}/states/main", inputs=pins, keys={}, summary={"checkpoints": len(states)}).digest
