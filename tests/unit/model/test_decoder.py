"""The decoder against the formulas of the report, written out plainly."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from yulan.model.decoder import Decoder
from yulan.model.loss import IGNORED
from yulan.model.shape import parameters


def plain_rope(x, theta):
    """Llama's: channel i is paired with i + H / 2. x (T, N, H) of one document."""
    half = x.shape[-1] // 2
    phase = torch.arange(len(x))[:, None] / theta ** (torch.arange(half) / half)
    cos, sin = phase.cos()[:, None], phase.sin()[:, None]
    low, high = x[..., :half], x[..., half:]
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def plain(weights, model, tokens, theta):
    """Logits of one document in fp64, line by line as the report has it."""

    def norm(x, name):
        return x / (x.pow(2).mean(-1, keepdim=True) + model.norm_eps).sqrt() * w[name]

    w = {name: value.double() for name, value in weights.items()}
    shrink = 1.4 / math.sqrt(model.layers)
    x = w["model.embed_tokens.weight"][tokens] * model.scale_emb
    for i in range(model.layers):
        at = f"model.layers.{i}"
        h = norm(x, f"{at}.input_layernorm.weight") * w[f"{at}.input_layernorm_alpha"]
        q, k, v = (
            (
                (h @ w[f"{at}.self_attn.{n}_proj.weight"].T + w[f"{at}.self_attn.{n}_proj.bias"])
                * w[f"{at}.self_attn.{n}_proj_alpha"]
            ).unflatten(-1, (-1, model.head_dim))
            for n in "qkv"
        )
        k, v = (y.repeat_interleave(model.heads // model.kv_heads, 1) for y in (plain_rope(k, theta), v))
        scores = torch.einsum("tnh,snh->nts", plain_rope(q, theta), k) / math.sqrt(model.head_dim)
        seen = torch.ones(len(tokens), len(tokens)).tril().bool()
        attended = torch.einsum("nts,snh->tnh", scores.masked_fill(~seen, -torch.inf).softmax(-1), v).flatten(1)
        x = x + shrink * w[f"{at}.self_attn.o_proj_alpha"] * (attended @ w[f"{at}.self_attn.o_proj.weight"].T)
        m = norm(x, f"{at}.post_attention_layernorm.weight")
        m = m * w[f"{at}.post_attention_layernorm_alpha"] * w[f"{at}.gate_up_proj_alpha"]
        inner = functional.silu(m @ w[f"{at}.mlp.gate_proj.weight"].T) * (m @ w[f"{at}.mlp.up_proj.weight"].T)
        x = x + shrink * w[f"{at}.down_proj_alpha"] * (inner @ w[f"{at}.mlp.down_proj.weight"].T)
    x = norm(x, "model.norm.weight") * w["model.norm_alpha"]
    return x @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T * w["lm_head_alpha"]


@pytest.mark.parametrize("theta", [10_000.0, 490_000.0])
def test_every_packed_document_has_the_logits_of_the_report_s_formulas(decoder, small, pack, theta):
    tokens, _, cu_seqlens = pack
    mine = decoder.logits(decoder(*pack, theta, "sdpa"))
    theirs = torch.cat(
        [plain(decoder.state_dict(), small, document, theta) for document in tokens.tensor_split(cu_seqlens[1:-1].long())]
    )
    assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("tied", [True, False])
def test_the_state_dict_has_the_published_names_and_shapes_and_nothing_else(small, tied):
    model = replace(small, tie_embeddings=tied)
    own = {name: tuple(value.shape) for name, value in Decoder(model).state_dict().items()}
    assert own == {p.name: p.shape for p in parameters(model)}


def test_an_untied_head_is_read(decoder, small, pack):
    untied = Decoder(replace(small, tie_embeddings=False))
    untied.load_state_dict(decoder.state_dict() | {"lm_head.weight": 2 * decoder.model.embed_tokens.weight})
    hidden = decoder(*pack, 1e4, "sdpa")
    torch.testing.assert_close(untied.logits(untied(*pack, 1e4, "sdpa")), 2 * decoder.logits(hidden))


def test_the_loss_sums_cross_entropy_and_squared_logsumexp_over_real_targets(decoder, pack):
    targets = pack[0].roll(-1)
    targets[[4, 11, 18, 19]] = IGNORED
    found = decoder(*pack, 1e4, "sdpa", targets, 1e-4)
    hidden = decoder(*pack, 1e4, "sdpa")
    logits, real = decoder.logits(hidden), targets != IGNORED
    torch.testing.assert_close(found.cross_entropy, functional.cross_entropy(logits, targets, reduction="sum"))
    torch.testing.assert_close(found.squared_logsumexp, logits.logsumexp(-1)[real].square().sum())
    torch.testing.assert_close(found.total, found.cross_entropy + 1e-4 * found.squared_logsumexp)
    assert found.targets == 16
    each = decoder.token_losses(hidden, targets)
    torch.testing.assert_close(each, functional.cross_entropy(logits, targets, reduction="none"))


def test_ids_and_positions_of_32_bits_give_the_bits_of_64(decoder, pack):
    tokens, positions, cu_seqlens = pack
    found = []
    for kind in (torch.int64, torch.int32):
        decoder.zero_grad()
        decoder(tokens.to(kind), positions.to(kind), cu_seqlens, 1e4, "sdpa", tokens.roll(-1), 0.01).total.backward()
        found.append([p.grad.view(torch.int32).tolist() for p in decoder.parameters()])
    assert found[0] == found[1]


def test_every_parameter_has_the_gradient_that_autograd_finds_on_plain_operations(decoder, small, pack):
    tokens, _, cu_seqlens = pack
    targets = tokens.roll(-1)
    targets[3] = IGNORED
    (decoder(*pack, 1e4, "sdpa", targets, 0.01).total / 19).backward()
    weights = {name: p.detach().double().requires_grad_() for name, p in decoder.named_parameters()}
    logits = torch.cat([plain(weights, small, document, 1e4) for document in tokens.tensor_split(cu_seqlens[1:-1].long())])
    z = logits.logsumexp(-1)[targets != IGNORED].square().mean()
    (functional.cross_entropy(logits, targets) + 0.01 * z).backward()
    for name, parameter in decoder.named_parameters():
        theirs = weights[name].grad
        assert theirs.abs().max() > 1e-7, name
        assert (parameter.grad - theirs).abs().max() <= 2e-5 * max(theirs.abs().max(), 0.1), name


def test_the_loss_is_the_same_in_blocks_of_rows(decoder, pack, monkeypatch):
    whole = decoder(*pack, 1e4, "sdpa", pack[0], 1e-4)
    whole.total.backward()
    gradient = decoder.model.embed_tokens.weight.grad.clone()
    decoder.zero_grad()
    monkeypatch.setattr("yulan.model.loss.BLOCK", 3 * 97)
    blocks = decoder(*pack, 1e4, "sdpa", pack[0], 1e-4)
    blocks.total.backward()
    torch.testing.assert_close(blocks.total, whole.total)
    torch.testing.assert_close(decoder.model.embed_tokens.weight.grad, gradient)


def test_half_precision_stays_near_full_precision(decoder, pack):
    full = decoder.logits(decoder(*pack, 1e4, "sdpa"))
    half = decoder.bfloat16().logits(decoder(*pack, 1e4, "sdpa"))
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).abs().max() <= 0.1 * full.abs().max()
    decoder(*pack, 1e4, "sdpa", pack[0], 1e-4).total.backward()
    assert all(p.grad.dtype == torch.bfloat16 and p.grad.isfinite().all() for p in decoder.parameters())


def test_scalars_held_as_vectors_of_one_change_nothing(decoder, pack):
    """As the trainer holds them: DeepSpeed's broadcast cannot view a 0-d tensor as bytes."""
    with torch.no_grad():
        before = decoder(*pack, 1e4, "sdpa", pack[0], 1e-4).total
    for parameter in decoder.parameters():
        if parameter.dim() == 0:
            parameter.data = parameter.data.reshape(1)
    after = decoder(*pack, 1e4, "sdpa", pack[0], 1e-4).total
    after.backward()
    assert torch.equal(before, after)
    assert all(p.grad.shape == p.shape for p in decoder.parameters())
