"""The pinned local model at work: prompts in, continuations out, the same on the same processor class and threads."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from yulan import digest
from yulan.data.synthesize.engine import Answer, Request, Sampling, cut
from yulan.data.synthesize.gguf import load_gguf

LINE = "\n"


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
    def complete(self, prompts: Sequence[str], seeds: Sequence[int], sampling: Sampling) -> list[Answer]:
        """What the model writes after each prompt, up to its end token, a stop string or the limit.

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
        for _ in range(sampling.max_new_tokens):
            positions_BT = (mask_BT.cumsum(1) - 1)[:, -tokens_BT.shape[1] :].clamp(min=0)
            out = self.model(
                tokens_BT, attention_mask=mask_BT, position_ids=positions_BT, past_key_values=cache, logits_to_keep=1
            )
            next_B = _pick(out.logits[:, -1], draws, sampling.temperature, sampling.top_p).where(~done_B, self.ends[0])
            written.append(next_B)
            done_B |= self._ended(next_B, written, sampling.stop)
            if done_B.all():
                break
            tokens_BT = next_B[:, None]
            mask_BT = torch.cat([mask_BT, torch.ones(len(encoded), 1, dtype=torch.int64)], dim=1)
        texts = [self._text(row, sampling.stop) for row in torch.stack(written, 1).tolist()]
        return [Answer(text=text, finish="stop" if done else "length") for text, done in zip(texts, done_B.tolist(), strict=True)]

    def _ended(self, next_B: Tensor, written: Sequence[Tensor], stop: Sequence[str]) -> Tensor:
        """Rows whose last token is the model's own end, or completes a stop string."""
        lines = LINE in stop
        done_B = torch.isin(next_B, self.ends if lines else self.ends[:1])
        for each in stop:
            if each != LINE:
                # A token is at least a byte, so a stop string lies in as many of the last ones.
                tails = torch.stack(written[-len(each.encode()) :], 1).tolist()
                done_B |= torch.tensor([each in self.tokenizer.decode(tail) for tail in tails])
        return done_B

    def _text(self, row: list[int], stop: Sequence[str]) -> str:
        return cut(self.tokenizer.decode(row, skip_special_tokens=True), stop)


class Local:
    """The pinned local model. Batches are the same whatever is done already, so a batch's rounding is too."""

    def __init__(self, generator: Generator, batch: int) -> None:
        self.generator, self.batch, self.digest = generator, batch, generator.digest

    def answers(self, requests: Sequence[Request], sampling: Sampling, done: Collection[int]) -> Iterator[tuple[int, Answer]]:
        # Questions of like length together.
        order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt), i))
        for start in range(0, len(order), self.batch):
            batch = order[start : start + self.batch]
            if all(i in done for i in batch):
                continue
            written = self.generator.complete([requests[i].prompt for i in batch], [requests[i].seed for i in batch], sampling)
            yield from ((i, answer) for i, answer in zip(batch, written, strict=True) if i not in done)


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
