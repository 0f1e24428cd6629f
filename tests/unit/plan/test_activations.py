"""What a micro-batch keeps is what autograd keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yulan.layout import find_root
from yulan.model.decoder import Decoder
from yulan.plan.activations import LOGITS, kept
from yulan.recipe import Model, read_recipe

ROOT = find_root(Path(__file__).parent)


def saved(model: Model, tokens: int, recompute: int = 0) -> int:
    """Bytes of every storage that the backward pass of one forward holds, parameters aside."""
    decoder = Decoder(model, recompute=recompute)
    own = {p.untyped_storage().data_ptr() for p in decoder.parameters()}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ids = torch.randint(3, model.vocab_size, (tokens,))
        decoder(ids, torch.arange(tokens), torch.tensor([0, tokens], dtype=torch.int32), 10000.0, "sdpa", ids.clone(), 1e-4)
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize("shape", [{}, {"layers": 9}, {"heads": 8, "kv_heads": 4, "ffn_size": 512}, {"vocab_size": 999}])
@pytest.mark.parametrize("tokens", [128, 1024])
def test_the_plan_counts_what_backward_holds(shape: dict[str, int], tokens: int):
    model = replace(read_recipe(ROOT / "recipes/nano/recipe.yaml").model, **shape)
    # Beside what is kept the plan counts what the loss holds for a moment.
    passing = 4 * model.vocab_size * model.hidden_size + 8 * LOGITS
    assert kept(model, tokens, 4) - passing == pytest.approx(saved(model, tokens), rel=0.02)


def test_layers_that_are_computed_again_keep_their_input():
    model = read_recipe(ROOT / "recipes/yulan-mini/recipe.yaml").model
    whole, again = (kept(model, 3 * 4096, 2, recompute=each) for each in (0, 56))
    assert 42e9 < whole - again < 48e9
    inside = 6 * 1920 + 4 * 4800 + 800
    assert kept(model, 6 * 4096, 2, recompute=56) - again == 2 * 3 * 4096 * (55 * 1920 + 2 * inside + 3 * 1920)
    assert kept(model, 3 * 4096, 2, recompute=1) == whole


@pytest.mark.parametrize("every", [2, 3, 100])
def test_the_plan_counts_what_a_backward_that_computes_again_holds(every: int):
    model, tokens = replace(read_recipe(ROOT / "recipes/nano/recipe.yaml").model, layers=9), 1024
    # The plan counts one layer more, which has its activations again for a moment.
    layer = kept(model, tokens, 4) - kept(replace(model, layers=8), tokens, 4)
    passing = 4 * model.vocab_size * model.hidden_size + 8 * LOGITS
    assert kept(model, tokens, 4, recompute=every) - passing - layer == pytest.approx(saved(model, tokens, every), rel=0.02)
