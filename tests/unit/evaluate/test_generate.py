from collections.abc import Callable

import numpy as np

from yulan.data.tokenizer import Codec
from yulan.evaluate.generate import generate
from yulan.evaluate.runner import Runner
from yulan.recipe.outcome import Generation

PROMPTS = ("The sum of", "人工智能是")


def settings(temperature: float = 0.0, seed: int = 5, prompts: tuple[str, ...] = PROMPTS, new_tokens: int = 8) -> Generation:
    return Generation(prompts=prompts, new_tokens=new_tokens, temperature=temperature, seed=seed)


def test_generations_are_the_same_twice_and_follow_the_seed(runner: Callable[..., Runner], codec: Codec):
    some = runner(4)
    for temperature in (0.0, 1.0):
        assert generate(some, codec, settings(temperature)) == generate(some, codec, settings(temperature))
    assert generate(some, codec, settings(1.0)) != generate(some, codec, settings(1.0, seed=6))
    assert [each.prompt for each in generate(some, codec, settings())] == list(PROMPTS)


def test_a_prompt_is_continued_alike_whoever_stands_beside_it(runner: Callable[..., Runner], codec: Codec):
    some = runner(4)
    both = generate(some, codec, settings(1.0))
    assert both[1:] == generate(some, codec, settings(1.0, prompts=PROMPTS[1:]))


def test_each_greedy_token_is_the_likeliest_one(runner: Callable[..., Runner], codec: Codec):
    some = runner(4, context=12)
    (found,) = generate(some, codec, settings(prompts=PROMPTS[:1]))
    ids = codec.encode([PROMPTS[0]])[0][:-1]
    for _ in range(8):
        ((_, hidden),) = some.each([ids[-12:]])
        ids = np.append(ids, int(some.decoder.logits(hidden[-1:]).argmax()))
        if ids[-1] == codec.eos_id:
            break
    assert found.text == codec.decode(ids[len(PROMPTS[0]) :].tolist())


def test_a_text_stops_at_its_end(runner: Callable[..., Runner], codec: Codec):
    some = runner(None)
    # Every hidden state then points at the row of the end.
    table = some.decoder.model.embed_tokens.weight
    table.fill_(0.1)
    table[codec.eos_id] = 1.0
    assert [each.text for each in generate(some, codec, settings(new_tokens=50))] == ["", ""]
