"""The folded model is the same function, run by transformers' own Llama."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from yulan.errors import IntegrityError
from yulan.model.fold import fold, llama_config
from yulan.model.shape import folded_parameters


def as_llama(decoder, model, folder, theta=1e4, context=64):
    """Through files, as a stranger would get it."""
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(dict(fold(decoder.state_dict(), model)), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(llama_config(model, context, theta, bos=1, eos=2)))
    llama, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert isinstance(llama, LlamaForCausalLM)
    assert llama.dtype == torch.float32
    assert not any(report.values()), report
    return llama.eval()


@pytest.mark.parametrize("tied", [True, False])
def test_folding_keeps_every_logit_of_every_packed_document(moved, small, pack, tied, tmp_path):
    model = replace(small, tie_embeddings=tied)
    decoder, (tokens, positions, _) = moved(model), pack
    llama = as_llama(decoder, model, tmp_path / "llama")
    with torch.no_grad():
        mine = decoder.logits(decoder(*pack, 1e4, "sdpa"))
        theirs = llama(tokens[None], position_ids=positions[None], use_cache=False).logits[0]
    assert (mine - theirs).abs().max() <= 1e-5 * mine.abs().max()


def test_folding_holds_at_four_times_the_context_and_a_raised_theta(decoder, small, tmp_path):
    tokens = torch.randint(0, small.vocab_size, (256,), generator=torch.Generator().manual_seed(5))
    llama = as_llama(decoder, small, tmp_path / "llama", theta=490_000.0, context=256)
    assert llama.config.rope_parameters["rope_theta"] == 490_000.0
    with torch.no_grad():
        mine = decoder.logits(decoder(tokens, torch.arange(256), torch.tensor([0, 256]), 490_000.0, "sdpa"))
        theirs = llama(tokens[None]).logits[0]
    assert (mine - theirs).abs().max() <= 1e-5 * mine.abs().max()


@pytest.mark.parametrize("tied", [True, False])
def test_the_folded_tensors_are_those_that_are_counted(moved, small, tied):
    model = replace(small, tie_embeddings=tied)
    folded = [(name, tuple(value.shape)) for name, value in fold(moved(model).state_dict(), model)]
    assert folded == [(p.name, p.shape) for p in folded_parameters(model)]


def test_a_missing_tensor_is_named(decoder, small):
    state = decoder.state_dict()
    del state["model.layers.1.down_proj_alpha"]
    with pytest.raises(IntegrityError, match=r"weights: no tensor named model\.layers\.1\.down_proj_alpha\. Fold a complete"):
        list(fold(state, small))
