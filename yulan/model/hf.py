"""The unfolded model for transformers: the trainer's own modules behind `from_pretrained` and `generate`."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers import initialization as hf_init
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast

from yulan.errors import IntegrityError
from yulan.model.decoder import Attend, Body, RMSNorm, Table
from yulan.model.shape import alpha_start
from yulan.recipe.model import Model

FIXED: dict[str, Any] = {
    "hidden_act": "silu",
    "attention_bias": True,
    "wesar_weights": True,
    "use_norm_alpha": True,
    "use_emb_alpha": False,
    "qk_layernorm": False,
    "embedding_ln": False,
    "embedding_rmsln": False,
    "rms_type": "llama",
}
"""Keys of published configs that would change the forward pass; this decoder has the released setting only."""


class YuLanMiniConfig(PreTrainedConfig):
    """Shape and constants under their published keys."""

    model_type = "yulanmini"
    keys_to_ignore_at_inference = ("past_key_values",)

    vocab_size: int = 99000
    hidden_size: int = 1920
    intermediate_size: int = 4800
    num_hidden_layers: int = 56
    num_attention_heads: int = 30
    num_key_value_heads: int = 6
    head_dim: int | None = None
    max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-6
    initializer_range: float = 5e-5
    rope_parameters: dict[str, Any] | None = None
    tie_word_embeddings: bool = True
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = None
    scale_emb: float = 10.0
    hidden_states_shrink: float = 1.4 / math.sqrt(56)
    dim_model_base_lr: int = 256

    def shape(self) -> Model:
        """Raises: IntegrityError: a key asks for another forward pass than the released one."""
        released = FIXED | {"dim_model_base_logits": self.hidden_size}
        asked = {key: getattr(self, key, value) for key, value in released.items()}
        asked["rope_type"], released["rope_type"] = (self.rope_parameters or {}).get("rope_type", "default"), "default"
        for key, value in released.items():
            if asked[key] != value:
                raise IntegrityError(
                    f"{key} is {asked[key]!r}, this decoder has {value!r} only",
                    where="config.json",
                    cure="Load it with the code it was published with",
                )
        return Model(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            kv_heads=self.num_key_value_heads,
            head_dim=self.head_dim or self.hidden_size // self.num_attention_heads,
            ffn_size=self.intermediate_size,
            norm_eps=self.rms_norm_eps,
            base_width=self.dim_model_base_lr,
            scale_emb=self.scale_emb,
            residual=self.hidden_states_shrink * math.sqrt(self.num_hidden_layers),
            init_std=self.initializer_range,
            tie_embeddings=self.tie_word_embeddings,
        )


class YuLanMiniForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = YuLanMiniConfig
    base_model_prefix = "model"
    _no_split_modules = ("Layer",)
    _supports_sdpa = True
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 (transformers copies it)

    def __init__(self, config: YuLanMiniConfig) -> None:
        super().__init__(config)
        self.shape = config.shape()
        self.model = Body(self.shape)
        self.lm_head = Table(self.shape)
        self.lm_head_alpha = torch.nn.Parameter(torch.ones(()))
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        for name, parameter in module.named_parameters(recurse=False):
            if name.endswith("_alpha"):
                hf_init.constant_(parameter, alpha_start(self.shape, name))
            elif name == "bias" or isinstance(module, RMSNorm):
                hf_init.constant_(parameter, float(name != "bias"))
            else:
                hf_init.normal_(parameter, 0.0, self.shape.init_std)

    def get_input_embeddings(self) -> Table:
        return self.model.embed_tokens

    def get_output_embeddings(self) -> Table:
        return self.lm_head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """One document a row: input_ids (B, T), attention_mask (B, past + T) with 0 at padding, either side."""
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(past, past + input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        attend = _attend(past_key_values, _mask(attention_mask, past, input_ids))
        hidden_BTD = self.model(input_ids, position_ids, self.config.rope_parameters["rope_theta"], attend)
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) and logits_to_keep else logits_to_keep
        kept = hidden_BTD if isinstance(keep, int) else hidden_BTD[:, keep]
        logits = self.lm_head(lambda head_VD: functional.linear(kept * self.lm_head_alpha, head_VD))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)


def _mask(attention_mask: Tensor | None, past: int, tokens_BT: Tensor) -> Tensor | None:
    """bool (B, 1, T, past + T), True where a position may look; None where plain causal attention says the same."""
    if past == 0 and (attention_mask is None or bool(attention_mask.all())):
        return None
    steps = tokens_BT.shape[1]
    allowed = torch.ones(steps, past + steps, dtype=torch.bool, device=tokens_BT.device).tril(past)
    return allowed[None, None] if attention_mask is None else allowed & attention_mask[:, None, None].bool()


def _attend(cache: Cache | None, mask: Tensor | None) -> Attend:
    def inside(layer: int, q_BTNH: Tensor, k_BTKH: Tensor, v_BTKH: Tensor) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q_BTNH, k_BTKH, v_BTKH))
        if cache is not None:
            k, v = cache.update(k, v, layer)
        out = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=q.shape[1] != k.shape[1]
        )
        return out.transpose(1, 2)

    return inside


def register() -> None:
    """Teach transformers' Auto classes the model type `yulanmini`."""
    AutoConfig.register("yulanmini", YuLanMiniConfig, exist_ok=True)
    AutoModelForCausalLM.register(YuLanMiniConfig, YuLanMiniForCausalLM, exist_ok=True)
