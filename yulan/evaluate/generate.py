"""A few continuations, to look at."""

import numpy as np
import torch
from torch import Tensor

from yulan import digest
from yulan.data.tokenizer import Codec
from yulan.evaluate.result import Generated
from yulan.evaluate.runner import Runner
from yulan.evaluate.tasks import encode
from yulan.recipe.outcome import Generation


def generate(runner: Runner, codec: Codec, settings: Generation) -> tuple[Generated, ...]:
    """At most `new_tokens` after each prompt, up to the end of a document; the likeliest ones where temperature is 0.

    Each prompt has its own random numbers, out of the seed and its text. No cache of keys: a few short texts need none.
    """
    texts = [encode(codec, prompt) for prompt in settings.prompts]
    begun = [len(text) for text in texts]
    draws = [_random(settings.seed, prompt) for prompt in settings.prompts]
    open_ones = list(range(len(texts)))
    for _ in range(settings.new_tokens):
        for index, hidden_TD in list(runner.each([texts[at][-runner.context :] for at in open_ones])):
            at = open_ones[index]
            logits_V = runner.decoder.logits(hidden_TD[-1:])[0, : codec.vocab_size].double().cpu()
            texts[at] = np.append(texts[at], _choose(logits_V, settings.temperature, draws[at]))
        open_ones = [at for at in open_ones if texts[at][-1] != codec.eos_id]
        if not open_ones:
            break
    return tuple(
        Generated(prompt=prompt, text=codec.decode(text[start:].tolist()))
        for prompt, text, start in zip(settings.prompts, texts, begun, strict=True)
    )


def _random(seed: int, prompt: str) -> torch.Generator:
    return torch.Generator().manual_seed(int(digest.of_json([seed, prompt])[:15], 16))


def _choose(logits_V: Tensor, temperature: float, draw: torch.Generator) -> int:
    if not temperature:
        return int(logits_V.argmax())
    return int(torch.multinomial((logits_V / temperature).softmax(-1), 1, generator=draw))
