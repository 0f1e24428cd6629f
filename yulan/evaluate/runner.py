"""A checkpoint's decoder, run on sequences of any lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from yulan.model.decoder import Decoder
from yulan.model.shape import parameters
from yulan.recipe.model import Model
from yulan.train.checkpoint.read import read_checkpoint

Ids = npt.NDArray[np.int64]

PACK = 4096
"""Positions in a forward pass, or those of one longer sequence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """fp32 forward passes of one decoder. D: its width."""

    decoder: Decoder
    context: int
    """Longest sequence it is given, in tokens."""
    rope_theta: float

    def __post_init__(self) -> None:
        self.decoder.requires_grad_(False)

    def each(self, sequences: Sequence[Ids]) -> Iterator[tuple[int, Tensor]]:
        """(index of a sequence, its hidden states (length, D)), shorter ones first.

        Equally long neighbours share one attention call; no sequence sees another.
        """
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        while order:
            count, size = 0, 0
            while count < len(order) and (not count or size + len(sequences[order[count]]) <= PACK):
                size += len(sequences[order[count]])
                count += 1
            pack, order = order[:count], order[count:]
            yield from zip(pack, self._hidden([sequences[index] for index in pack]), strict=True)

    def _hidden(self, sequences: Sequence[Ids]) -> tuple[Tensor, ...]:
        device = self.decoder.lm_head_alpha.device
        lengths = [len(sequence) for sequence in sequences]
        tokens_T = torch.from_numpy(np.concatenate(sequences)).to(device)
        positions_T = torch.cat([torch.arange(length, device=device) for length in lengths])
        cu_seqlens = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32, device=device)
        hidden_TD = self.decoder(tokens_T, positions_T, cu_seqlens, self.rope_theta, "sdpa")
        return tuple(hidden_TD.split(lengths))


def load_decoder(checkpoint: Path, model: Model, device: str) -> Decoder:
    """The fp32 master weights of a checkpoint.

    Raises: DataError or IntegrityError: not a checkpoint of this model.
    """
    rows = parameters(model)
    opened, decoder = read_checkpoint(checkpoint, rows), Decoder(model)
    own = dict(decoder.named_parameters())
    with torch.no_grad():
        for row in rows:
            own[row.name].copy_(opened.tensor(row.name))
    return decoder.to(device)
