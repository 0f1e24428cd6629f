"""Which kernels a decoder is built with, what it keeps for backward, and what is compiled."""

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from tests.unit.model.conftest import moved
from yulan.errors import ResourceError, StateError
from yulan.model.decoder import Decoder
from yulan.model.kernels import REFERENCE, choose
from yulan.profile import load_profile
from yulan.train.determinism import kernels_of
from yulan.train.device import take_device


def learned(decoder, pack):
    """The loss, and every gradient by name."""
    decoder.zero_grad()
    loss = decoder(*pack, 1e4, "sdpa", pack[0].roll(-1), 1e-4).total
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in decoder.named_parameters()}


def alike(small, **told):
    """The same weights under other settings."""
    model = replace(small, layers=7)
    made = Decoder(model, **told)
    made.load_state_dict(moved(model).state_dict())
    return made


@pytest.mark.parametrize("every", [2, 3, 7, 100])
def test_layers_that_are_computed_again_give_every_bit_of_the_gradient(small, pack, every):
    loss, gradients = learned(alike(small), pack)
    same, mine = learned(alike(small, recompute=every), pack)
    assert torch.equal(loss, same)
    assert all(torch.equal(gradients[name], mine[name]) for name in gradients)


def test_every_so_many_layers_one_is_not_computed_again(small, pack, monkeypatch):
    decoder, seen = alike(small, recompute=3), []
    for index, layer in enumerate(decoder.model.layers):
        layer.register_forward_pre_hook(lambda *_, index=index: seen.append(index))
    learned(decoder, pack)
    assert seen == [0, 1, 2, 3, 4, 5, 6, 5, 4, 2, 1]
    with torch.no_grad():
        decoder(*pack, 1e4, "sdpa")
    assert seen[11:] == list(range(7)), "nothing is kept where nothing is learned"


@pytest.mark.large
def test_compiled_layers_are_compiled_once_and_stay_near_the_reference(small, pack):
    loss, gradients = learned(alike(small), pack)
    compiled = alike(small, recompute=3)
    compiled.compile_layers()
    assert compiled.state_dict().keys() == alike(small).state_dict().keys()
    before = counters["stats"]["unique_graphs"]
    same, mine = learned(compiled, pack)
    torch.testing.assert_close(same, loss, rtol=1e-6, atol=0)
    for name in gradients:
        assert (mine[name] - gradients[name]).abs().max() <= 1e-4 * gradients[name].abs().max(), name
    tokens, positions, _ = pack
    learned(compiled, (tokens, positions, torch.tensor([0, 3, 20], dtype=torch.int32)))
    assert counters["stats"]["unique_graphs"] - before == 2, "heads, and the rest: for all layers and any documents"
    assert not counters["graph_break"]


def test_nothing_of_a_gpu_is_imported_unless_it_is_chosen():
    assert choose("none") is REFERENCE
    program = "import sys, yulan.train.engine; print({'flash_attn', 'liger_kernel', 'triton'} & set(sys.modules) or 'none')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "none"


@pytest.mark.skipif(importlib.util.find_spec("liger_kernel") is not None, reason="liger-kernel is installed")
def test_liger_s_kernels_name_the_extra_that_brings_them():
    with pytest.raises(StateError, match=r"`fused: liger` needs the package liger-kernel, which is not installed.*\[gpu\]"):
        choose("liger")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_process_without_a_gpu_of_its_own_says_so(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    profile = replace(load_profile("cpu-1"), device="cuda", precision="bf16")
    with pytest.raises(ResourceError, match=r"a process has no GPU of its own: it is number 0, and torch .* finds 0"):
        take_device(profile)


def test_the_class_of_a_run_names_all_that_rounds_otherwise():
    profile = load_profile("cpu-2")
    assert kernels_of(profile) == "sdpa"
    assert kernels_of(replace(profile, recompute=7)) == "sdpa", "what is computed again is the same to the bit"
    assert kernels_of(replace(profile, compile=True, offload="cpu")) == "sdpa+compile+offload"
    whole = kernels_of(replace(profile, device="cuda", attention="flash", fused="liger", compile=True))
    assert whole.startswith("flash")
    assert "+liger" in whole
