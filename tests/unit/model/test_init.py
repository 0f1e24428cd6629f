"""Start values."""

from dataclasses import replace

import torch

from yulan.digest import of_bytes, of_parts
from yulan.model.decoder import Decoder
from yulan.model.init import initialise, start_values
from yulan.model.shape import alpha_start, parameters

GOLDEN = "bd033bec42fc2e86c25472be2cc29b99886d126645afb6ebbfd3644b088ec6fe"


def test_the_start_values_are_these_bytes(small):
    assert of_parts(value.numpy().tobytes() for _, value in start_values(small, 7)) == GOLDEN


def test_each_kind_of_tensor_starts_as_the_report_says(small):
    model = replace(small, hidden_size=256, init_std=5e-5)
    kinds = {p.name: p for p in parameters(model)}
    for name, value in start_values(model, 0):
        assert value.dtype == torch.float32
        assert tuple(value.shape) == kinds[name].shape
        match kinds[name].kind:
            case "alpha":
                assert (value == alpha_start(model, name)).all()
            case "bias" | "norm":
                assert (value == (kinds[name].kind == "norm")).all()
            case _:
                assert abs(value.std() / 5e-5 - 1) < 0.05
                assert abs(value.mean()) < 5e-6


def test_a_tensor_depends_on_the_seed_and_its_name_and_on_nothing_else(small):
    shallow, deep = dict(start_values(small, 3)), dict(start_values(replace(small, layers=5), 3))
    other = dict(start_values(small, 4))
    matrices = [p.name for p in parameters(small) if p.kind in ("matrix", "embedding")]
    assert all(torch.equal(shallow[name], deep[name]) and not torch.equal(shallow[name], other[name]) for name in matrices)
    assert len({of_bytes(shallow[name].numpy().tobytes()) for name in matrices}) == len(matrices)


def test_a_decoder_takes_its_start_values_under_every_name(small):
    decoder = Decoder(small)
    initialise(decoder, small, 3)
    assert all(torch.equal(decoder.state_dict()[name], value) for name, value in start_values(small, 3))
