"""Parameters, constants and counts against the published model."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from yulan.model import shape
from yulan.recipe.model import Model
from yulan.recipe.training import Optimizer

REAL = Model(
    vocab_size=99000,
    hidden_size=1920,
    layers=56,
    heads=30,
    kv_heads=6,
    head_dim=64,
    ffn_size=4800,
    norm_eps=1e-6,
    base_width=256,
    scale_emb=10.0,
    residual=1.4,
    init_std=5e-5,
    tie_embeddings=True,
)
ADAMW = Optimizer(beta1=0.9, beta2=0.95, eps=1e-15, weight_decay=0.1, clip=1.0, z_loss=1e-4, mup_lr=True)


def test_the_real_shape_counts_to_the_published_numbers():
    assert shape.count(REAL) == 2_234_188_098
    assert shape.count(replace(REAL, tie_embeddings=False)) == 2_424_268_098
    assert shape.folded_count(REAL) == 2_424_375_168
    assert shape.folded_count(replace(REAL, tie_embeddings=False)) == 2_424_375_168


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.layers.0.self_attn.q_proj_alpha", 0.3651483716701107),
        ("model.layers.55.gate_up_proj_alpha", 0.3651483716701107),
        ("model.layers.3.self_attn.o_proj_alpha", 0.03450327796711771),
        ("model.layers.3.down_proj_alpha", 0.03450327796711771),
        ("model.layers.3.input_layernorm_alpha", 1.0),
        ("model.norm_alpha", 1.0),
        ("lm_head_alpha", 1.0),
    ],
)
def test_alphas_start_at_the_published_values(name, value):
    assert shape.alpha_start(REAL, name) == pytest.approx(value, rel=1e-15)


def test_the_residual_shrinks_with_the_root_of_the_depth():
    assert shape.shrink(REAL) == pytest.approx(1.4 / math.sqrt(56), rel=1e-15)


def test_every_alpha_is_published_as_one_number_and_only_those_of_attention_as_a_vector():
    alphas = {p.name: p.shape for p in shape.parameters(REAL) if p.kind == "alpha"}
    assert all(dims == ((1,) if ".self_attn." in name else ()) for name, dims in alphas.items())
    assert len(alphas) == 8 * REAL.layers + 2


def test_names_are_unique_and_an_untied_head_is_one_more():
    tied, untied = ({p.name for p in shape.parameters(replace(REAL, tie_embeddings=t))} for t in (True, False))
    assert untied - tied == {"lm_head.weight"}
    assert tied < untied
    assert len(tied) == len(shape.parameters(REAL))


def test_only_matrices_train_at_the_scaled_rate_and_only_tables_and_matrices_decay():
    plain = replace(ADAMW, mup_lr=False)
    assert shape.lr_multiplier("matrix", REAL, ADAMW) == 256 / 1920
    assert shape.lr_multiplier("matrix", REAL, plain) == 1.0
    assert {k: shape.lr_multiplier(k, REAL, ADAMW) for k in ("embedding", "bias", "norm", "alpha")} == dict.fromkeys(
        ("embedding", "bias", "norm", "alpha"), 1.0
    )
    decayed = [k for k in ("matrix", "embedding", "bias", "norm", "alpha") if shape.weight_decay(k, ADAMW)]
    assert decayed == ["matrix", "embedding"]
    assert shape.weight_decay("matrix", ADAMW) == 0.1


def test_flops_are_six_a_weight_and_twelve_a_pair_of_positions():
    matmul = 56 * (1920 * 1920 * 2 + 2 * 384 * 1920 + 3 * 1920 * 4800) + 99000 * 1920
    assert shape.flops_per_token(REAL, 4096) == 6 * matmul + 12 * 56 * 30 * 64 * 4096


def test_shapes_are_known_without_torch():
    code = "import sys, yulan.model.shape; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
