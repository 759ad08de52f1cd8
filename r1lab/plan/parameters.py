"""A decoder's parameters, counted exactly from the numbers of its model file.

The layouts are those of transformers' Qwen2, Qwen3, Llama, Mistral, Mixtral and Qwen2/3-MoE: RMSNorm, rotary positions,
grouped-query attention, a gated MLP of three matrices; and DeepSeek-V3's multi-head latent attention and experts
(DeepSeek-AI 2024, arXiv 2405.04434, §2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NEEDED = ("layers", "hidden", "intermediate", "heads", "kv_heads", "vocabulary")
TIED_BELOW = 2048  # hidden width under which a model whose file does not say ties embedding and head, as Qwen2.5 does


@dataclass(frozen=True)
class Shape:
    """The architecture's numbers; widths and counts.

    `intermediate` is the width of a dense MLP, `expert_intermediate` of one expert, `shared_intermediate` of the expert
    that every token passes, with a gate of its own where `shared_gate` (Qwen2-MoE's); `router_bias` is DeepSeek's, one
    number an expert; `dense_layers` come before the first layer with experts. Biases: `qkv_bias` on query, key and
    value, `output_bias` on the attention's output, `mlp_bias` on all of the MLP. `qk_norm` is Qwen3's. `latent` holds
    (query rank, key and value rank, rotary width, other width, value width) of latent attention. `given` is the exact
    count that a file states; 0: worked out.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    head_dim: int
    tied: bool
    qkv_bias: bool = True
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    shared_intermediate: int = 0
    shared_gate: bool = False
    router_bias: bool = False
    dense_layers: int = 0
    latent: tuple[int, int, int, int, int] | None = None
    given: int = 0

    @property
    def cache_width(self) -> int:
        """Numbers that the cache holds per token and layer: keys and values, or their latent form."""
        return self.latent[1] + self.latent[2] if self.latent else 2 * self.kv_width

    @property
    def q_width(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key heads, which is that of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def linear(self) -> dict[str, tuple[int, int, int]]:
        """The matrices inside the layers: name → (inputs, outputs, how many in the whole model)."""
        h, q, kv = self.hidden, self.q_width, self.kv_width
        sizes = {"q_proj": (h, q), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (q, h)}
        found = {name: (*size, self.layers) for name, size in sizes.items()}
        dense = self.dense_layers if self.experts else self.layers
        for width, count in ((self.intermediate, dense), (self.shared_intermediate, self.layers - dense)):
            if count and width:
                found |= {"gate_proj": (h, width, count), "up_proj": (h, width, count), "down_proj": (width, h, count)}
        return found

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, and of a head that is not tied to it."""
        return self.vocabulary * self.hidden

    @property
    def per_layer(self) -> int:
        """Parameters of the largest kind of layer."""
        return self._attention + (self._experts(self.experts) if self.experts else self._mlp(self.intermediate))

    @property
    def total(self) -> int:
        """All parameters; what is tied counts once."""
        return self.given or self._count(self.experts)

    @property
    def active(self) -> int:
        """Parameters that one token passes: of the experts, only those chosen for it."""
        return self._count(self.experts_per_token)

    def _count(self, experts: int) -> int:
        sparse = self.layers - self.dense_layers if self.experts else 0
        dense = self.layers - sparse
        body = self.layers * self._attention + dense * self._mlp(self.intermediate) + sparse * self._experts(experts)
        return body + self.hidden + self.embedding * (1 if self.tied else 2)

    @property
    def _attention(self) -> int:
        h, q, kv = self.hidden, self.q_width, self.kv_width
        if self.latent:
            rank, kv_rank, rope, nope, value = self.latent
            queries = rank * (h + 1 + self.heads * (nope + rope))
            keys = h * (kv_rank + rope) + kv_rank * (1 + self.heads * (nope + value))
            return queries + keys + self.heads * value * h + 2 * h
        biases = (q + 2 * kv) * self.qkv_bias + h * self.output_bias
        return 2 * h * q + 2 * h * kv + biases + 2 * self.head_dim * self.qk_norm + 2 * h  # with the layer's two norms

    def _mlp(self, width: int) -> int:
        return 3 * self.hidden * width + (2 * width + self.hidden) * self.mlp_bias

    def _experts(self, count: int) -> int:
        shared = self._mlp(self.shared_intermediate) + self.hidden * self.shared_gate
        router = (self.hidden + self.router_bias) * self.experts
        return count * 3 * self.hidden * self.expert_intermediate + router + shared


def shape_of(model: Any) -> Shape | None:
    """The shape of a composed `model` node; None where its file does not give the numbers.

    What a file leaves out is as in Qwen2.5: biases on query, key and value, embeddings tied in the small models.
    """
    if any(model.get(name) is None for name in NEEDED) or not model.heads:
        return None
    numbers: dict[str, Any] = {name: int(model.get(name)) for name in NEEDED}
    kind = str(model.get("type") or "")
    tied, bias = model.get("tied"), model.get("bias")
    return Shape(
        **numbers,
        head_dim=int(model.get("head_dim") or numbers["hidden"] // numbers["heads"]),
        tied=numbers["hidden"] < TIED_BELOW if tied is None else bool(tied),
        qkv_bias=bias is not False,
        qk_norm=kind.startswith("qwen3"),
        given=int(model.get("parameters") or 0),
        **_experts_of(model.get("experts") or {}, kind),
        **_latent_of(model.get("latent") or {}),
    )


def _experts_of(experts: Any, kind: str) -> dict[str, Any]:
    """The shape's numbers of a mixture of experts; none where the model's file names none."""
    if not experts.get("routed"):
        return {}
    width, shared = int(experts.get("intermediate")), int(experts.get("shared") or 0)
    return {
        "experts": int(experts.get("routed")),
        "experts_per_token": int(experts.get("active") or 1),
        "expert_intermediate": width,
        "shared_intermediate": shared * width,
        "shared_gate": bool(shared) and kind.startswith("qwen"),
        "router_bias": kind.startswith("deepseek"),
        "dense_layers": int(experts.get("dense_layers") or 0),
    }


def _latent_of(latent: Any) -> dict[str, Any]:
    names = ("query_rank", "kv_rank", "rope_dim", "nope_dim", "value_dim")
    return {"latent": tuple(int(latent.get(name)) for name in names)} if latent.get("kv_rank") else {}
