"""A checkpoint in the files of other people's tools, so that they take the next step where ours ended.

`universal`   DeepSpeed: load_checkpoint with {"checkpoint": {"load_universal": true}}, any ZeRO stage and number of ranks
`dcp`         torch.distributed.checkpoint: {"model", "optimizer"} as get_state_dict names them
`hf-trainer`  Trainer.train(resume_from_checkpoint=...) with the model type of `import yulan.hf`

These tools want pickles. They are written here only, never below a clone's artifacts, and hold tensors, numbers and text
alone, so that `weights_only=True` reads them. Memory: one tensor; the rest is mapped from the checkpoint.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yulan import files
from yulan.errors import StateError
from yulan.model.fold import yulanmini_config
from yulan.model.groups import Group, groups_of
from yulan.model.shape import parameters
from yulan.recipe.training import Anneal, Optimizer, Schedule
from yulan.schema import structure
from yulan.train.checkpoint.read import Checkpoint, read_checkpoint
from yulan.train.checkpoint.scan import require_whole
from yulan.train.checkpoint.shrink import require_new
from yulan.train.checkpoint.state import Target
from yulan.train.checkpoint.stream import KINDS
from yulan.train.schedule import learning_rate

BOS, EOS = 1, 2
"""Of the published tokenizer; a checkpoint knows of no tokenizer."""
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a checkpoint says about its optimizer."""

    checkpoint: Checkpoint
    optimizer: Optimizer
    schedule: Schedule
    anneal: Anneal | None
    warm: int
    """Global step after which the rate climbs."""
    groups: tuple[Group, ...]

    @property
    def step(self) -> Tensor:
        """Updates so far, as AdamW holds them."""
        return torch.tensor(float(self.checkpoint.state.adam_step))

    def rate(self, steps_ahead: int = 1) -> float:
        return learning_rate(self.checkpoint.state.global_step + steps_ahead, self.schedule, self.anneal, self.warm)

    def options(self, group: Group) -> dict[str, Any]:
        """AdamW's own, with the rate of the next step."""
        fixed = {"amsgrad": False, "maximize": False, "foreach": None, "capturable": False, "differentiable": False}
        return {
            "lr": self.rate() * group.multiplier,
            "betas": (self.optimizer.beta1, self.optimizer.beta2),
            "eps": self.optimizer.eps,
            "weight_decay": group.weight_decay,
            "decoupled_weight_decay": True,
            "fused": None,
            **fixed,
        }

    def adam(self, name: str) -> dict[str, Tensor]:
        """AdamW's state of one parameter."""
        return {"step": self.step} | {kind: self.checkpoint.tensor(name, kind) for kind in KINDS[1:]}


def export(folder: Path, into: Path, target: Target) -> None:
    """Write `into`, a new folder, for a stock tool.

    Raises: StateError: `into` is there or lies below artifacts/, or there are no moments; IntegrityError: not whole.
    """
    _require_outside(into)
    require_new(into)
    require_whole(folder)
    setting = _setting(read_checkpoint(folder))
    write = {"universal": _write_universal, "dcp": _write_dcp, "hf-trainer": _write_trainer}[target]
    with files.new_folder(into) as partial:
        write(partial, setting)


def _require_outside(into: Path) -> None:
    """Raises: StateError: the folder lies among a clone's results."""
    place = into.resolve()
    for folder in (place, *place.parents):
        if folder.name == "artifacts" and (folder.parent / "dvc.yaml").is_file():
            raise StateError("pickles do not go below artifacts/", where=into, cure="Choose a folder outside the clone's results")


def _setting(checkpoint: Checkpoint) -> Setting:
    keys, model = checkpoint.state.keys, checkpoint.model
    if not checkpoint.has_moments or "optimizer" not in keys:
        raise StateError(
            "holds no optimizer states to hand on", where=checkpoint.folder, cure="Name the checkpoint of a trained step"
        )
    optimizer = structure(keys["optimizer"], Optimizer)
    state, phase = checkpoint.state, keys[f"phases.{checkpoint.state.cursor.phase}"]
    # Declared by this phase, or by one before it on the path, whose anneal then stands in the keys by itself.
    before = [value for name, value in keys.items() if name.endswith(".anneal")]
    anneal = (phase["anneal"] or (before or [None])[-1]) if phase["regime"] == "anneal" else None
    return Setting(
        checkpoint=checkpoint,
        optimizer=optimizer,
        schedule=structure(keys["schedule"], Schedule),
        anneal=structure(anneal, Anneal) if anneal else None,
        warm=state.global_step - state.phase_step if phase["regime"] == "warmup-stable" else 0,
        groups=groups_of(model, optimizer),
    )


def _write_torch(path: Path, value: Any) -> None:
    with files.open_new(path) as file:
        torch.save(value, file)


def _write_universal(into: Path, setting: Setting) -> None:
    state, every = setting.checkpoint.state, parameters(setting.checkpoint.model)
    tag = f"global_step{state.global_step}"
    for p in every:
        for kind in KINDS:
            name = "fp32" if kind == KINDS[0] else kind
            # DeepSpeed 0.19.8 cuts even the scalars for tensor parallelism, and cannot cut what has no axes.
            value = setting.checkpoint.tensor(p.name, kind)
            _write_torch(into / tag / "zero" / p.name / f"{name}.pt", {"param": value.reshape(p.shape or (1,))})
        _write_torch(into / tag / "zero" / p.name / "step.pt", setting.step)
    groups = [setting.options(group) | {"params": [index]} for index, group in enumerate(setting.groups)]
    version = metadata.version("deepspeed")
    common = {"ds_version": version, "clip_grad": setting.optimizer.clip, "param_groups": groups}
    _write_torch(into / tag / "zero" / "optimizer_state.pt", common)
    told = {
        "module": {p.name: setting.checkpoint.tensor(p.name) for p in every},
        "param_shapes": [{p.name: torch.Size(p.shape) for p in group.parameters} for group in setting.groups],
        "buffer_names": [],
        "shared_params": {},
        "optimizer": None,
        "lr_scheduler": None,
        "data_sampler": None,
        "random_ltd": None,
        "global_steps": state.global_step,
        "global_samples": 0,
        "skipped_steps": len(state.skipped),
        "dp_world_size": 1,
        "mp_world_size": 1,
        "ds_version": version,
        # Nothing is cut by tensor parallelism.
        "universal_checkpoint_info": {"universal_checkpoint_version": 0.2, "tp_replicated_parameter_patterns": [".*"]},
    }
    _write_torch(into / tag / "mp_rank_00_model_states.pt", told)
    files.write_text(into / "latest_universal", tag)


def _write_dcp(into: Path, setting: Setting) -> None:
    from torch.distributed import checkpoint as dcp

    every = parameters(setting.checkpoint.model)
    optimizer = {
        "state": {p.name: setting.adam(p.name) for p in every},
        "param_groups": [setting.options(group) | {"params": [p.name for p in group.parameters]} for group in setting.groups],
    }
    model = {p.name: setting.checkpoint.tensor(p.name) for p in every}
    with warnings.catch_warnings():
        # It says that one process saves, as it should.
        warnings.simplefilter("ignore", UserWarning)
        writer = dcp.FileSystemWriter(into, overwrite=True)
        dcp.save({"model": model, "optimizer": optimizer}, storage_writer=writer, no_dist=True)


def _write_trainer(into: Path, setting: Setting) -> None:
    checkpoint = setting.checkpoint
    state, model = checkpoint.state, checkpoint.model
    phase = state.keys[f"phases.{state.cursor.phase}"]
    files.write_json(into / "config.json", yulanmini_config(model, phase["context"], phase["rope_theta"], BOS, EOS))
    _copy_weights(into, checkpoint)
    order = [p for group in setting.groups for p in group.parameters]
    place = {p.name: index for index, p in enumerate(order)}
    groups = [
        setting.options(group)
        | {
            "initial_lr": setting.schedule.peak * group.multiplier,
            "params": [place[p.name] for p in group.parameters],
            "param_names": [p.name for p in group.parameters],
        }
        for group in setting.groups
    ]
    _write_torch(into / "optimizer.pt", {"state": {place[p.name]: setting.adam(p.name) for p in order}, "param_groups": groups})
    _write_torch(into / "scheduler.pt", _scheduler(setting))
    counts = {"global_step": state.global_step, "max_steps": state.global_step, "num_input_tokens_seen": state.tokens}
    # The Trainer compares this with its own, and goes on with its own.
    told = {"epoch": 0.0, "num_train_epochs": 1, "train_batch_size": phase["batch"], "log_history": []}
    files.write_json(into / "trainer_state.json", counts | told)


def _scheduler(setting: Setting) -> dict[str, Any]:
    """LambdaLR's, whose function of the step is the reader's to give."""
    return {
        "base_lrs": [setting.schedule.peak * group.multiplier for group in setting.groups],
        "last_epoch": setting.checkpoint.state.global_step,
        "_step_count": setting.checkpoint.state.global_step + 1,
        "_last_lr": [setting.rate() * group.multiplier for group in setting.groups],
        "lr_lambdas": [None] * len(setting.groups),
    }


def _copy_weights(into: Path, checkpoint: Checkpoint) -> None:
    """Our weights files are what transformers reads, under its names."""
    paths: Sequence[Path] = sorted({path for (kind, _), path in checkpoint.files.items() if kind == KINDS[0]})
    if len(paths) == 1:
        files.copy(paths[0], into / "model.safetensors")
        return
    names = {path: path.name.replace(KINDS[0], "model") for path in paths}
    for path, name in names.items():
        files.copy(path, into / name)
    weight_map = {name: names[path] for (kind, name), path in checkpoint.files.items() if kind == KINDS[0]}
    total = 4 * sum(p.size for p in parameters(checkpoint.model))
    files.write_json(into / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
