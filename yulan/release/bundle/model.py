"""The model repository: what stock clients load, a branch a checkpoint; it pins the other two by digest."""

from pathlib import Path

from yulan import files
from yulan.model.shape import count, folded_count
from yulan.release.bundle.inputs import Inputs
from yulan.release.bundle.inventory import write_aibom
from yulan.release.bundle.papers import place_policy
from yulan.release.card.results import hubs_of, model_index, registered, write_results
from yulan.release.card.scores import EVALUATION, scores
from yulan.release.card.write import write_cards
from yulan.release.export import End
from yulan.release.seal import seal
from yulan.schema import load_json
from yulan.train.checkpoint.read import read_checkpoint

PICTURES = {
    "loss": "Loss over tokens",
    "bits-per-byte": "Held-out bits per byte after each phase",
    "mixes": "What each phase read",
}
CASTS = {
    "yulanmini": "{}, the cast of the fp32 master weights",
    "llama": "{}, the cast of the fp32 master weights folded into Llama",
}
"""What released weights are, as the gate recomputes it."""


def lay_model(inputs: Inputs, end: End, folder: Path, data: str, states: str) -> str:
    """Fill one checkpoint's folder; returns its content digest. `data` and `states` are those of the other repositories."""
    recipe = inputs.book.recipe
    inputs.place_common(folder, recipe.release.licences.weights)
    files.link_tree(inputs.exported / end.revision, folder)
    files.link_tree(inputs.evaluated[end.phase], folder)
    pictures = inputs.place_pictures(folder, PICTURES if end.final else {})
    state = read_checkpoint(end.folder).state
    dtype = load_json(folder / "config.json")["dtype"]
    summary = {
        "phase": end.phase,
        "step": state.global_step,
        "tokens": state.tokens,
        "parameters": folded_count(recipe.model) if end.final else count(recipe.model),
        "architecture": end.architecture,
        "dtype": dtype,
    }
    path, evaluation = recipe.path(end.phase), load_json(folder / EVALUATION)
    name = recipe.release.repo
    write_results(folder, registered(name, end.revision, evaluation))
    place_policy(inputs, folder)
    write_cards(
        folder,
        "model",
        {"manifest.json": {"summary": summary}},
        **inputs.common(),
        revision=end.revision,
        phase=end.phase,
        final=end.final,
        architecture=end.architecture,
        cast=CASTS[end.architecture],
        dtype=dtype,
        scores=scores(evaluation),
        model_index=model_index(name, end.revision, evaluation, hubs_of(inputs.book)),
        figures=pictures,
        path=path,
        regimes={phase: recipe.phase(phase).regime for phase in path},
    )
    pins = {"data/main": data, f"states/{end.revision}": states}
    write_aibom(inputs, end, folder, pins)
    pins |= {name: inputs.digests[name] for name in ("export", f"train@{end.phase}", f"evaluate@{end.phase}")}
    return seal(folder, name=f"{recipe.name}/model/{end.revision}", inputs=pins, keys={}, summary=summary).digest
