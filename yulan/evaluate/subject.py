"""A checkpoint or a released model as lm-eval asks it: transformers' class, the tokenizer beside it, and who it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from yulan import digest, manifest
from yulan.errors import DataError, ResourceError, StateError
from yulan.evaluate.evaluated import Subject
from yulan.layout import DATA, MANIFEST
from yulan.model.fold import yulanmini_config
from yulan.model.hf import YuLanMiniConfig, YuLanMiniForCausalLM, register
from yulan.model.shape import parameters
from yulan.schema import plain
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.state import State
from yulan.train.onward import find_checkpoint

CHECKPOINT, TOKENIZER, CONFIG, WORDS = "checkpoint", "tokenizer", "config.json", "tokenizer.json"
Precision = Literal["fp32", "bf16"]
DTYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    model: Any
    """A causal model of transformers, in evaluation mode."""
    tokenizer: Any
    words: Path
    """Folder of the tokenizer."""
    subject: Subject


def open_subject(folder: Path, tokenizer: Path | None, device: str, precision: Precision) -> Opened:
    """A model folder, whose bytes the caller verifies, or a folder that holds checkpoints: the last one, verified here.

    Raises: StateError: neither, or no tokenizer; ResourceError: no such device; DataError, IntegrityError: files that are not
    what they should be.
    """
    _require_device(device)
    register()
    if (folder / CONFIG).is_file():
        opened = _released(folder, tokenizer or folder)
    else:
        checkpoint = find_checkpoint(folder)
        opened = _checkpoint(checkpoint, tokenizer or _beside(checkpoint))
    opened.model.to(device=device, dtype=DTYPES[precision]).eval().requires_grad_(False)
    return opened


def _require_device(device: str) -> None:
    kind, _, number = device.partition(":")
    there = torch.cuda.device_count() if kind == "cuda" else 1
    if kind not in {"cpu", "cuda"} or not (number or "0").isdigit() or int(number or 0) >= there:
        raise ResourceError(
            f"torch {torch.__version__} finds no device {device!r}",
            where="--device",
            cure="Use cpu, or install the CUDA build of torch (docs/guides/gpu.md)",
        )


def _checkpoint(folder: Path, words: Path) -> Opened:
    opened, tokenizer = read_checkpoint(folder), _tokenizer(words)
    model, state = opened.model, opened.state
    context, theta = _reach(state, folder)
    config = yulanmini_config(model, context, theta, tokenizer.bos_token_id, tokenizer.eos_token_id)
    made = YuLanMiniForCausalLM(YuLanMiniConfig(**config))
    own = dict(made.named_parameters())
    with torch.no_grad():
        for row in parameters(model):
            own[row.name].copy_(opened.tensor(row.name))
    told = manifest.read(folder / MANIFEST)
    subject = Subject(
        name=told.name,
        kind=CHECKPOINT,
        digest=told.digest,
        phase=state.cursor.phase,
        global_step=state.global_step,
        tokens=state.tokens,
        context=context,
    )
    return Opened(model=made, tokenizer=tokenizer, words=words, subject=subject)


def _reach(state: State, folder: Path) -> tuple[int, float]:
    """Context and RoPE theta of the phase that a checkpoint ends.

    Raises: DataError: it was not trained yet, so it has none.
    """
    phase = state.keys.get(f"phases.{state.cursor.phase}")
    if not phase:
        raise DataError("belongs to no phase, so it has no context", where=folder, cure="Name a checkpoint that a phase made")
    return int(phase["context"]), float(phase["rope_theta"])


def _released(folder: Path, words: Path) -> Opened:
    tokenizer = _tokenizer(words)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        made = AutoModelForCausalLM.from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot be loaded ({error.__class__.__name__})", where=folder, cure="Pull it again, or name another folder"
        ) from None
    told = manifest.read(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    said: Mapping[str, Any] = told.summary if told else {}
    subject = Subject(
        name=told.name if told else config.model_type,
        kind=config.model_type,
        digest=told.digest if told else _digest(folder),
        phase=said.get("phase"),
        global_step=said.get("step"),
        tokens=said.get("tokens"),
        context=config.max_position_embeddings,
    )
    return Opened(model=made, tokenizer=tokenizer, words=words, subject=subject)


def _digest(folder: Path) -> str:
    """Of a stranger's folder: of its files' names, sizes and sha256, without what a client's download leaves."""
    return digest.of_json([plain(file) for file in manifest.survey(folder) if not file.path.startswith(".cache/")])


def _beside(checkpoint: Path) -> Path:
    """Where the tokenizer of a checkpoint lies: beside it in a pulled states folder, or in the clone whose artifact it is."""
    for home in checkpoint.resolve().parents:
        for place in (home / TOKENIZER, home / TOKENIZER / DATA):
            if (place / WORDS).is_file():
                return place
    return checkpoint


def _tokenizer(folder: Path) -> Any:
    if not (folder / WORDS).is_file():
        raise StateError(f"holds no {WORDS}", where=folder, cure="Name the folder of its tokenizer: --tokenizer")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
