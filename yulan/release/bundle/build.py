"""All three trees, and release.json, which says what becomes which revision."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from yulan import files, manifest
from yulan.layout import MANIFEST
from yulan.release.bundle.data import lay_data
from yulan.release.bundle.inputs import Inputs
from yulan.release.bundle.model import lay_model
from yulan.release.bundle.states import lay_begin, lay_index, lay_states
from yulan.release.folder import COLUMNS
from yulan.release.names import MAIN
from yulan.release.release import Half, Release, write_release
from yulan.release.seal import reseal_card
from yulan.train.checkpoint.read import read_checkpoint


def build(inputs: Inputs, into: Path) -> Release:
    """Lay out a release below `into`: data, then states, then the model, which pins both.

    Raises: DataError: a result that a card quotes is not there, or there is no one main final.
    """
    main = inputs.main
    data = lay_data(inputs, into / "data" / MAIN)
    lasting = (*inputs.ends, *inputs.kept)
    states = {end.revision: lay_states(inputs, end, into / "states" / end.revision, data) for end in lasting}
    for begin in inputs.begins:
        states[begin.revision] = lay_begin(inputs, begin, into / "states" / begin.revision, data, states)
    model = {
        end.revision: lay_model(inputs, end, into / "model" / end.revision, data, states[end.revision]) for end in inputs.ends
    }
    # `main` is the main final under another name: the same bytes, and beside its card the list of all checkpoints.
    table = checkpoints_csv(inputs, model, states)
    files.link_tree(into / "model" / main.revision, into / "model" / MAIN)
    files.write_text(into / "model" / MAIN / "checkpoints.csv", table)
    reseal_card(into / "model" / MAIN)
    index = lay_index(inputs, into / "states" / MAIN, states, table)
    tags = inputs.tags()
    release = Release(
        format=1,
        name=inputs.book.recipe.release.repo,
        recipe=inputs.book.recipe.name,
        data=Half(revisions={MAIN: data}, tags={"final": MAIN}),
        states=Half(revisions={**states, MAIN: index}, tags=tags),
        model=Half(revisions={**model, MAIN: model[main.revision]}, tags=tags | {"final": MAIN}),
    )
    write_release(into, release)
    return release


def checkpoints_csv(inputs: Inputs, model: Mapping[str, str], states: Mapping[str, str]) -> str:
    """One row a branch of the model; `digest` and `states` are content digests, `alias_of` declares equal weights.

    `begin` is the branch of the states that the phase began re-balanced with; empty where it began as its parent ended.
    """
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    tags: dict[str, list[str]] = {}
    for tag, revision in inputs.tags().items():
        tags.setdefault(revision, []).append(tag)
    begins = {begin.phase: begin.revision for begin in inputs.begins}
    for end in inputs.ends:
        state = read_checkpoint(end.folder).state
        stage = inputs.book.recipe.phase(end.phase).regime
        about = (stage, end.phase, state.global_step, state.tokens)
        digests = (model[end.revision], states[end.revision], end.architecture)
        begin = begins.get(end.phase, "")
        rows.writerow([*about, end.revision, *digests, "", begin, " ".join(sorted(tags.get(end.revision, [])))])
        if end == inputs.main:
            rows.writerow([*about, MAIN, *digests, end.revision, begin, ""])
    return out.getvalue()


def summary(into: Path, release: Release) -> dict[str, object]:
    """Counts and bytes, for the stage's manifest."""
    parts: dict[str, object] = {}
    for part in ("data", "states", "model"):
        lists = [manifest.read(into / part / name / MANIFEST) for name in release.part(part).revisions]  # type: ignore[arg-type]
        unique = {file.sha256: file.size for made in lists for file in made.files}
        parts[part] = {"revisions": len(lists), "bytes": sum(unique.values())}
    return parts
