"""The YuLan-Mini decoder over packed documents. Its state dict has the published names and nothing else.

Every alpha multiplies a weight, not the activations behind it: the same function, and a matrix of 128 x 128 is scaled
where 4,096 x 128 activations would be. Folding (fold.py) stores exactly these products.
Legend: T positions (leading axes of any kind), D model width, N query heads, K key/value heads, H head width, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from yulan.model.attention import Documents, Kernel, attend
from yulan.model.loss import Loss, linear_cross_entropy, token_losses
from yulan.model.norm import rms_norm
from yulan.model.rope import Angles, angles, rotate
from yulan.model.shape import shrink
from yulan.recipe.model import Model

Result = TypeVar("Result")

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q_TNH, k_TKH, v_TKH) -> attention output, shaped like q."""


class Table(nn.Module):
    """A row for each entry of the vocabulary. Calling it hands the weight to `use`, on the way in or on the way out.

    A tied head reads it through this call too, since ZeRO-3 gathers a parameter only while its own module runs.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(model.vocab_size, model.hidden_size))

    def forward(self, use: Callable[[Tensor], Result]) -> Result:
        return use(self.weight)


class Linear(nn.Module):
    """y = (W x + b) x scale."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        return functional.linear(x, self.weight * scale, None if self.bias is None else self.bias * scale)


class RMSNorm(nn.Module):
    """y = x / rms(x) x weight x scale."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(model.hidden_size))
        self.eps = model.norm_eps

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return rms_norm(x, self.weight * scale, self.eps)


class Attention(nn.Module):
    def __init__(self, model: Model, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim, self.shrink = layer, model.head_dim, shrink(model)
        queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
        self.q_proj = Linear(model.hidden_size, queries, bias=True)
        self.k_proj = Linear(model.hidden_size, keys, bias=True)
        self.v_proj = Linear(model.hidden_size, keys, bias=True)
        self.o_proj = Linear(queries, model.hidden_size)
        self.q_proj_alpha, self.k_proj_alpha, self.v_proj_alpha, self.o_proj_alpha = (
            nn.Parameter(torch.ones(1)) for _ in range(4)
        )

    def forward(self, x_TD: Tensor, turns: Angles, attend: Attend) -> Tensor:
        """What the block adds to the residual stream, shrink included."""
        q_TNH = self.q_proj(x_TD, self.q_proj_alpha).unflatten(-1, (-1, self.head_dim))
        k_TKH = self.k_proj(x_TD, self.k_proj_alpha).unflatten(-1, (-1, self.head_dim))
        v_TKH = self.v_proj(x_TD, self.v_proj_alpha).unflatten(-1, (-1, self.head_dim))
        out_TNH = attend(self.layer, rotate(q_TNH, turns), rotate(k_TKH, turns), v_TKH)
        return self.o_proj(out_TNH.flatten(-2), self.o_proj_alpha * self.shrink)


class SwiGLU(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.gate_proj = Linear(model.hidden_size, model.ffn_size)
        self.up_proj = Linear(model.hidden_size, model.ffn_size)
        self.down_proj = Linear(model.ffn_size, model.hidden_size)

    def forward(self, x_TD: Tensor, scale: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x_TD)) * self.up_proj(x_TD), scale)


class Layer(nn.Module):
    def __init__(self, model: Model, layer: int) -> None:
        super().__init__()
        self.shrink = shrink(model)
        self.self_attn = Attention(model, layer)
        self.mlp = SwiGLU(model)
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(model), RMSNorm(model)
        self.gate_up_proj_alpha, self.down_proj_alpha = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))
        self.input_layernorm_alpha = nn.Parameter(torch.ones(()))
        self.post_attention_layernorm_alpha = nn.Parameter(torch.ones(()))

    def forward(self, x_TD: Tensor, turns: Angles, attend: Attend) -> Tensor:
        x_TD = x_TD + self.self_attn(self.input_layernorm(x_TD, self.input_layernorm_alpha), turns, attend)
        scale = self.post_attention_layernorm_alpha * self.gate_up_proj_alpha
        return x_TD + self.mlp(self.post_attention_layernorm(x_TD, scale), self.down_proj_alpha * self.shrink)


class Body(nn.Module):
    """All but the head: the part published under `model.`."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.scale_emb, self.head_dim = model.scale_emb, model.head_dim
        self.embed_tokens = Table(model)
        self.layers = nn.ModuleList(Layer(model, index) for index in range(model.layers))
        self.norm = RMSNorm(model)
        self.norm_alpha = nn.Parameter(torch.ones(()))

    def forward(self, tokens_T: Tensor, positions_T: Tensor, rope_theta: float, attend: Attend) -> Tensor:
        """Returns: hidden states (T, D) after the last norm; T may have several axes, if `attend` takes them."""
        x_TD = self.embed_tokens(partial(functional.embedding, tokens_T)) * self.scale_emb
        turns = angles(positions_T, rope_theta, self.head_dim, x_TD.dtype)
        for layer in self.layers:
            x_TD = layer(x_TD, turns, attend)
        return self.norm(x_TD, self.norm_alpha)


class Decoder(nn.Module):
    """Matrices are zero until `initialise` or `load_state_dict`."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = Body(model)
        self.lm_head = None if model.tie_embeddings else Table(model)
        self.lm_head_alpha = nn.Parameter(torch.ones(()))

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        cu_seqlens: Tensor,
        rope_theta: float,
        kernel: Kernel,
        targets_T: Tensor | None = None,
        z_loss: float = 0.0,
    ) -> Tensor | Loss:
        """Run packed documents: int64 tokens and positions (T,), int32 offsets (documents + 1,) from 0 to T.

        Returns: hidden states (T, D), or with targets (T,; -100 is ignored) the sums of the loss.
        """
        documents = Documents.of(cu_seqlens)

        def inside(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, k, v, documents, kernel)

        hidden_TD = self.model(tokens_T, positions_T, rope_theta, inside)
        return hidden_TD if targets_T is None else self.loss(hidden_TD, targets_T, z_loss)

    def _head(self, hidden_TD: Tensor) -> tuple[Table, Tensor]:
        return self.model.embed_tokens if self.lm_head is None else self.lm_head, hidden_TD * self.lm_head_alpha

    def loss(self, hidden_TD: Tensor, targets_T: Tensor, z_loss: float) -> Loss:
        table, scaled_TD = self._head(hidden_TD)
        return table(lambda head_VD: linear_cross_entropy(scaled_TD, head_VD, targets_T, z_loss))

    def logits(self, hidden_TD: Tensor) -> Tensor:
        """(T, V)."""
        table, scaled_TD = self._head(hidden_TD)
        return table(lambda head_VD: functional.linear(scaled_TD, head_VD))

    def token_losses(self, hidden_TD: Tensor, targets_T: Tensor) -> Tensor:
        """fp32 (T,): cross-entropy of each position in nats, without gradient, 0 where the target is -100."""
        table, scaled_TD = self._head(hidden_TD)
        return table(lambda head_VD: token_losses(scaled_TD, head_VD, targets_T))
