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
from torch.utils.checkpoint import checkpoint

from yulan.model.attention import Documents, Kernel, attend
from yulan.model.kernels import REFERENCE, Kernels
from yulan.model.loss import Loss, token_losses
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

    def __init__(self, model: Model, kernels: Kernels) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(model.hidden_size))
        self.eps, self.kernel = model.norm_eps, kernels.rms_norm

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return self.kernel(x, self.weight * scale, self.eps)


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
        out_TNH = attend(self.layer, *self.heads(x_TD, turns))
        return self.o_proj(out_TNH.flatten(-2), self.o_proj_alpha * self.shrink)

    def heads(self, x_TD: Tensor, turns: Angles) -> tuple[Tensor, Tensor, Tensor]:
        """Turned queries and keys, and values."""
        q_TNH = self.q_proj(x_TD, self.q_proj_alpha).unflatten(-1, (-1, self.head_dim))
        k_TKH = self.k_proj(x_TD, self.k_proj_alpha).unflatten(-1, (-1, self.head_dim))
        v_TKH = self.v_proj(x_TD, self.v_proj_alpha).unflatten(-1, (-1, self.head_dim))
        return rotate(q_TNH, turns), rotate(k_TKH, turns), v_TKH


class SwiGLU(nn.Module):
    def __init__(self, model: Model, kernels: Kernels) -> None:
        super().__init__()
        self.kernel = kernels.silu_product
        self.gate_proj = Linear(model.hidden_size, model.ffn_size)
        self.up_proj = Linear(model.hidden_size, model.ffn_size)
        self.down_proj = Linear(model.ffn_size, model.hidden_size)

    def forward(self, x_TD: Tensor, scale: Tensor) -> Tensor:
        return self.down_proj(self.kernel(self.gate_proj(x_TD), self.up_proj(x_TD)), scale)


class Layer(nn.Module):
    def __init__(self, model: Model, layer: int, kernels: Kernels) -> None:
        super().__init__()
        self.shrink = shrink(model)
        self.self_attn = Attention(model, layer)
        self.mlp = SwiGLU(model, kernels)
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(model, kernels), RMSNorm(model, kernels)
        self.gate_up_proj_alpha, self.down_proj_alpha = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))
        self.input_layernorm_alpha = nn.Parameter(torch.ones(()))
        self.post_attention_layernorm_alpha = nn.Parameter(torch.ones(()))

    def forward(self, x_TD: Tensor, turns: Angles, attend: Attend) -> Tensor:
        return self.rest(x_TD, self.self_attn(self.input_layernorm(x_TD, self.input_layernorm_alpha), turns, attend))

    def rest(self, x_TD: Tensor, mixed_TD: Tensor) -> Tensor:
        """All that comes after attention."""
        x_TD = x_TD + mixed_TD
        scale = self.post_attention_layernorm_alpha * self.gate_up_proj_alpha
        return x_TD + self.mlp(self.post_attention_layernorm(x_TD, scale), self.down_proj_alpha * self.shrink)


class Body(nn.Module):
    """All but the head: the part published under `model.`."""

    def __init__(self, model: Model, kernels: Kernels = REFERENCE, recompute: int = 0) -> None:
        """`recompute`: 0, or every so many layers one keeps its activations, and the others compute theirs again."""
        super().__init__()
        self.scale_emb, self.head_dim, self.recompute = model.scale_emb, model.head_dim, recompute
        self.embed_tokens = Table(model)
        self.layers = nn.ModuleList(Layer(model, index, kernels) for index in range(model.layers))
        self.norm = RMSNorm(model, kernels)
        self.norm_alpha = nn.Parameter(torch.ones(()))

    def forward(self, tokens_T: Tensor, positions_T: Tensor, rope_theta: float, attend: Attend) -> Tensor:
        """Returns: hidden states (T, D) after the last norm; T may have several axes, if `attend` takes them."""
        x_TD = self.embed_tokens(partial(functional.embedding, tokens_T)) * self.scale_emb
        turns = angles(positions_T, rope_theta, self.head_dim, x_TD.dtype)
        again = self.recompute if torch.is_grad_enabled() else 0
        for index, layer in enumerate(self.layers):
            if again and index % again:
                # Nothing in a layer draws, so there is no generator to set back.
                x_TD = checkpoint(layer, x_TD, turns, attend, use_reentrant=False, preserve_rng_state=False)
            else:
                x_TD = layer(x_TD, turns, attend)
        return self.norm(x_TD, self.norm_alpha)


class Decoder(nn.Module):
    """Matrices are zero until `initialise` or `load_state_dict`."""

    def __init__(self, model: Model, kernels: Kernels = REFERENCE, recompute: int = 0) -> None:
        super().__init__()
        self.model, self.cross_entropy = Body(model, kernels, recompute), kernels.cross_entropy
        self.lm_head = None if model.tie_embeddings else Table(model)
        self.lm_head_alpha = nn.Parameter(torch.ones(()))

    def compile_layers(self) -> None:
        """torch.compile what lies around attention, once for all layers: documents make attention's shapes, and no two packs
        have the same."""
        for layer in self.model.layers:
            vars(layer.self_attn)["heads"] = torch.compile(layer.self_attn.heads, dynamic=False)
            vars(layer)["rest"] = torch.compile(layer.rest, dynamic=False)

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
        """Run packed documents: int32 or int64 tokens, positions and targets (T,), int32 offsets (documents + 1,) from 0 to T,
        best on the CPU.

        Returns: hidden states (T, D), or with targets (T,; -100 is ignored) the sums of the loss.
        """
        documents = Documents.of(cu_seqlens, tokens_T.device)

        def inside(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, k, v, documents, kernel)

        hidden_TD = self.model(tokens_T, positions_T, rope_theta, inside)
        return hidden_TD if targets_T is None else self.loss(hidden_TD, targets_T, z_loss)

    def _head(self, hidden_TD: Tensor) -> tuple[Table, Tensor]:
        return self.model.embed_tokens if self.lm_head is None else self.lm_head, hidden_TD * self.lm_head_alpha

    def loss(self, hidden_TD: Tensor, targets_T: Tensor, z_loss: float) -> Loss:
        table, scaled_TD = self._head(hidden_TD)
        # They come in half the bytes; indexing wants all of them.
        wide_T = targets_T.long()
        return table(lambda head_VD: self.cross_entropy(scaled_TD, head_VD, wide_T, z_loss))

    def logits(self, hidden_TD: Tensor) -> Tensor:
        """(T, V)."""
        table, scaled_TD = self._head(hidden_TD)
        return table(lambda head_VD: functional.linear(scaled_TD, head_VD))

    def token_losses(self, hidden_TD: Tensor, targets_T: Tensor) -> Tensor:
        """fp32 (T,): cross-entropy of each position in nats, without gradient, 0 where the target is -100."""
        table, scaled_TD = self._head(hidden_TD)
        wide_T = targets_T.long()
        return table(lambda head_VD: token_losses(scaled_TD, head_VD, wide_T))
