"""continued.json and lineage/: what was gone on from, with what, and what may be claimed of the result."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yulan import digest, files, manifest
from yulan.layout import MANIFEST
from yulan.manifest import FORMAT, File, Manifest
from yulan.schema import check, plain, read_json
from yulan.train.checkpoint.rebalance import stated
from yulan.train.checkpoint.state import Trajectory
from yulan.train.launch.job import training_keys
from yulan.train.log import METRICS, REPLAY
from yulan.train.phase import Outcome, Plan

RECORD, LINEAGE = "continued.json", "lineage"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What one source gave."""

    licence: str
    """SPDX id, or `unknown` where nobody said."""
    digest: str | None
    """Identity of the files it was read from; null for a source of the recipe, whose packages are pinned there."""
    tokens: int
    """The phase's quota of it."""
    repeated: int
    """Tokens of the quota that the path had used before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A published model that was gone on from."""

    model: str
    """OWNER/NAME: `base_model` of a card."""
    relation: Literal["finetune"]
    """`base_model_relation`, in the Hub's words: the weights were trained on."""
    revision: str
    """Branch of the checkpoint; its optimizer states are under the same name in OWNER/NAME-states."""
    digest: str
    """Content digest of that states revision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Continued:
    """continued.json."""

    format: int
    base: Base | None
    """The nearest published one; null where the folder gone on from names none."""
    begun_from: str
    """Content digest of the checkpoint."""
    ended_with: str
    """Content digest of the last checkpoint."""
    recipe: str
    phase: str
    mix: str
    """Content digest of the pack index."""
    shards: str
    """Content digest of the token shards."""
    tokenizer: str | None
    """sha256 of the tokenizer.json that own text was tokenised with; null where the text is the recipe's."""
    sources: Mapping[str, Text]
    trajectory: Trajectory
    fresh_optimizer: bool
    """The moments were not read but begun at zero, here or before."""
    rebalanced: Mapping[str, float] | None
    """c of each alpha that the phase moved as it began; null where it began as the checkpoint was."""
    warnings: tuple[str, ...]


def read_record(folder: Path) -> Continued:
    """Raises: DataError: no continued.json, or it breaks its schema."""
    return read_json(folder / RECORD, "continued", Continued)


def write_record(
    into: Path,
    plan: Plan,
    outcome: Outcome,
    *,
    shards: str,
    tokenizer: str | None,
    sources: Mapping[str, Text],
    base: Base | None,
) -> Continued:
    """Write continued.json and `lineage/train/<phase>.json`, the manifest that names the checkpoint this one comes from."""
    begun = manifest.read(plan.parent / MANIFEST).digest
    made = Continued(
        format=4,
        base=base,
        begun_from=begun,
        ended_with=manifest.read(outcome.kept[-1] / MANIFEST).digest,
        recipe=plan.recipe.name,
        phase=plan.phase,
        mix=plan.mix_digest,
        shards=shards,
        tokenizer=tokenizer,
        sources=dict(sources),
        trajectory=outcome.state.trajectory,
        fresh_optimizer=outcome.state.fresh_optimizer,
        rebalanced=stated(outcome.kept[0]),
        warnings=outcome.warnings,
    )
    check(plain(made), "continued", into / RECORD)
    listed = [
        replace(file, path=f"{each.relative_to(into).as_posix()}/{file.path}")
        for each in outcome.kept
        for file in manifest.survey(each)
    ]
    listed += [File(path=log, size=(into / log).stat().st_size, sha256=digest.of_file(into / log)) for log in (METRICS, REPLAY)]
    train = Manifest(
        format=FORMAT,
        stage="train",
        name=f"{plan.recipe.name}/{plan.phase}",
        files=tuple(sorted(listed, key=lambda file: file.path)),
        inputs={"checkpoint": begun, f"mix@{plan.phase}": plan.mix_digest, "shards": shards},
        keys=plan.recipe.keys(*training_keys(plan.recipe, plan.phase)),
        summary={
            "global_step": outcome.state.global_step,
            "tokens_total": outcome.state.tokens,
            "trajectory": outcome.state.trajectory,
            "fresh_optimizer": outcome.state.fresh_optimizer,
        },
        determinism=outcome.state.determinism,
    )
    manifest.write(into / LINEAGE / "train" / f"{plan.phase}.json", train)
    files.write_json(into / RECORD, plain(made))
    return made
