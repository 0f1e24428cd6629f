"""transformers loads the unfolded model and runs the trainer's own function."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

import yulan.hf  # noqa: F401 (registers)
from yulan.errors import IntegrityError
from yulan.model.fold import yulanmini_config
from yulan.model.hf import YuLanMiniConfig, YuLanMiniForCausalLM


@pytest.fixture
def folder(decoder, small, tmp_path):
    save_file(decoder.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(yulanmini_config(small, context=64, rope_theta=2e4, bos=1, eos=2)))
    return tmp_path


@pytest.fixture
def loaded(folder):
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


def logits(decoder, tokens):
    with torch.no_grad():
        return decoder.logits(decoder(tokens, torch.arange(len(tokens)), torch.tensor([0, len(tokens)]), 2e4, "sdpa"))


def close(mine, theirs):
    return (mine - theirs).abs().max() <= 1e-5 * mine.abs().max()


def test_unfolded_weights_give_the_decoder_s_logits(decoder, loaded, pack):
    assert isinstance(loaded, YuLanMiniForCausalLM)
    with torch.no_grad():
        assert close(logits(decoder, pack[0]), loaded(pack[0][None]).logits[0])
        assert close(logits(decoder, pack[0])[-1:], loaded(pack[0][None], logits_to_keep=1).logits[0])


def test_the_recipe_s_shape_comes_back_from_the_config(loaded, small):
    assert loaded.config.shape() == small
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_bf16_loads_as_bf16(folder, decoder, pack):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    full = logits(decoder, pack[0])
    assert (model(pack[0][None]).logits[0].float() - full).abs().max() <= 0.1 * full.abs().max()


def greedy(decoder, tokens, steps):
    for _ in range(steps):
        tokens = torch.cat([tokens, logits(decoder, tokens)[-1].argmax().unsqueeze(0)])
    return tokens


@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_takes_the_decoder_s_most_likely_token_at_every_step(decoder, loaded, pack, use_cache):
    prompt = pack[0][:6]
    made = loaded.generate(
        prompt[None], max_new_tokens=12, do_sample=False, use_cache=use_cache, eos_token_id=None, pad_token_id=0
    )
    assert torch.equal(made[0], greedy(decoder, prompt, 12))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_real_position(decoder, loaded, pack, side):
    short, long = pack[0][:4], pack[0][:9]
    padding, ones = torch.zeros(5, dtype=torch.long), torch.ones(4, dtype=torch.long)
    order = (padding, short) if side == "left" else (short, padding)
    mask = torch.stack([torch.cat((padding, ones) if side == "left" else (ones, padding)), torch.ones(9, dtype=torch.long)])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        found = loaded(torch.stack([torch.cat(order), long]), attention_mask=mask, position_ids=positions).logits
    assert close(logits(decoder, short), found[0][mask[0].bool()])
    assert close(logits(decoder, long), found[1])
    if side == "left":
        made = loaded.generate(
            torch.stack([torch.cat(order), long]),
            attention_mask=mask,
            max_new_tokens=5,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert torch.equal(made[0, 5:], greedy(decoder, short, 5))
        assert torch.equal(made[1], greedy(decoder, long, 5))


def test_labels_give_the_mean_cross_entropy_of_the_next_token(loaded, pack):
    out = loaded(pack[0][None], labels=pack[0][None])
    torch.testing.assert_close(out.loss, torch.nn.functional.cross_entropy(out.logits[0, :-1], pack[0][1:]))


def test_saving_and_loading_again_changes_no_weight(loaded, tmp_path):
    loaded.save_pretrained(tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_fresh_model_starts_with_the_config_s_alphas(folder, small):
    fresh = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    layer = fresh.model.layers[1]
    assert layer.self_attn.o_proj_alpha.item() == pytest.approx((16 / 48) ** 0.5 / 6**0.5)
    assert fresh.lm_head_alpha.item() == 1
    assert layer.self_attn.q_proj.bias.abs().max() == 0
    assert 0.8 < layer.mlp.up_proj.weight.std() / small.init_std < 1.2


@pytest.mark.parametrize(
    ("key", "value"), [("qk_layernorm", True), ("rms_type", "gemma"), ("dim_model_base_logits", 16), ("wesar_weights", False)]
)
def test_a_config_with_another_forward_pass_is_refused(key, value):
    with pytest.raises(IntegrityError, match=rf"config\.json: {key} is .*, this decoder has .* only\. Load it with the code"):
        YuLanMiniConfig(**{key: value}).shape()


@pytest.mark.slow
def test_without_the_import_transformers_does_not_know_the_type(folder):
    code = "import sys; from transformers import AutoConfig; AutoConfig.from_pretrained(sys.argv[1])"
    for line, known in ((code, False), (f"import yulan.hf; {code}", True)):
        done = subprocess.run([sys.executable, "-c", line, str(folder)], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is known, done.stderr
