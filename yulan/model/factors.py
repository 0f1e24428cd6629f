"""What each tensor of plain Llama is made of, without torch: a tensor of ours, times constants and alphas.

Rules: the YuLan-Mini report (arXiv 2412.17743).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """A folded tensor is `source` x `constant` x every one of `alphas`, in this order, in double precision, then fp32."""

    source: str | None
    """Null: zeros."""
    constant: float
    alphas: tuple[str, ...]


def factor_of(name: str, *, tied: bool, scale_emb: float, shrink: float) -> Factor:
    """Of the folded tensor called `name`; `tied`: the head is the table of embeddings."""
    if name.endswith("o_proj.bias"):
        return Factor(source=None, constant=0.0, alphas=())
    owner = name.rpartition(".")[0]
    layer, role = owner.rpartition(".mlp.")[0] or owner.rpartition(".")[0], owner.rpartition(".")[2]
    source = "model.embed_tokens.weight" if name == "lm_head.weight" and tied else name
    constant = 1.0
    alphas: tuple[str, ...] = (f"{owner}_alpha",)
    match role:
        case "embed_tokens":
            constant, alphas = scale_emb, ()
        case "gate_proj" | "up_proj":
            alphas = ()
        case "o_proj":
            constant = shrink
        case "down_proj":
            constant, alphas = shrink, (f"{layer}.down_proj_alpha",)
        case "post_attention_layernorm":
            # gate and up read this norm's output and nothing else does, so their shared alpha moves into it.
            alphas = (f"{owner}_alpha", f"{layer}.gate_up_proj_alpha")
    return Factor(source=source, constant=constant, alphas=alphas)
