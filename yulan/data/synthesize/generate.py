"""The pinned local model at work: prompts in, continuations out, the same on the same processor class and threads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from yulan import digest
from yulan.data.synthesize.gguf import load_gguf


class Generator:
    """A local model. `digest` is the sha256 of its weights' file."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises: DataError: no model that can be read."""
        torch.set_num_threads(threads)
        self.digest = digest.of_file(path)
        self.model, self.tokenizer = load_gguf(path)
        # "Ċ" is how a byte-level vocabulary spells the line end.
        lines = [i for token, i in sorted(self.tokenizer.get_vocab().items()) if "Ċ" in token]
        self.ends = torch.tensor([self.model.config.eos_token_id, *lines])

    @torch.inference_mode()
    def complete(
        self, prompts: Sequence[str], seeds: Sequence[int], *, new_tokens: int, temperature: float, top_p: float
    ) -> list[str]:
        """What the model writes after each prompt: at most `new_tokens`, up to its end token or the end of the line.

        What the prompts have in common at their start is computed once. A row's draws depend on its own seed.
        """
        encoded = [each.ids for each in self.tokenizer.encode_batch(list(prompts), add_special_tokens=False)]
        shared = min(_shared(encoded), min(map(len, encoded)) - 1)
        cache = DynamicCache(config=self.model.config)
        if shared:
            self.model(torch.tensor(encoded[:1])[:, :shared], past_key_values=cache, logits_to_keep=1)
            cache.batch_repeat_interleave(len(encoded))
        tokens_BT, mask_BT = _left_padded([ids[shared:] for ids in encoded], int(self.ends[0]))
        mask_BT = torch.cat([torch.ones(len(encoded), shared, dtype=torch.int64), mask_BT], dim=1)
        draws = [np.random.default_rng(seed) for seed in seeds]
        written: list[Tensor] = []
        done_B = torch.zeros(len(encoded), dtype=torch.bool)
        for _ in range(new_tokens):
            positions_BT = (mask_BT.cumsum(1) - 1)[:, -tokens_BT.shape[1] :].clamp(min=0)
            out = self.model(
                tokens_BT, attention_mask=mask_BT, position_ids=positions_BT, past_key_values=cache, logits_to_keep=1
            )
            next_B = _pick(out.logits[:, -1], draws, temperature, top_p).where(~done_B, self.ends[0])
            written.append(next_B)
            done_B |= torch.isin(next_B, self.ends)
            if done_B.all():
                break
            tokens_BT = next_B[:, None]
            mask_BT = torch.cat([mask_BT, torch.ones(len(encoded), 1, dtype=torch.int64)], dim=1)
        return [self.tokenizer.decode(row, skip_special_tokens=True) for row in torch.stack(written, 1).tolist()]


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """Ids that all rows begin with."""
    return next((i for i, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1), min(map(len, rows)))


def _left_padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """int64 (B, longest) ids and mask."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[padding] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return tokens, mask


def _pick(logits_BV: Tensor, draws: Sequence[np.random.Generator], temperature: float, top_p: float) -> Tensor:
    """The likeliest token of each row at temperature 0, else one drawn from the smallest set that holds `top_p`."""
    if temperature == 0:
        return logits_BV.argmax(1)
    shares_BV, order_BV = (logits_BV.double() / temperature).softmax(1).sort(1, descending=True)
    below_BV = shares_BV.cumsum(1)
    last = below_BV.shape[1] - 1
    share_B1 = torch.full((len(draws), 1), top_p, dtype=torch.float64)
    kept_B1 = torch.searchsorted(below_BV, share_B1).clamp(max=last)
    points_B1 = torch.tensor([[draw.random()] for draw in draws], dtype=torch.float64) * below_BV.gather(1, kept_B1)
    rank_B1 = torch.searchsorted(below_BV, points_B1).clamp(max=last)
    return order_BV.gather(1, rank_B1).squeeze(1)
