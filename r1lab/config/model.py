"""What is known of a model: where it comes from, its numbers, and what of it a run may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Rope:
    """Rotary position embeddings; what is None is as the model's own config says.

    `theta` is the base frequency. `type` names the scaling (linear, dynamic, yarn, longrope, llama3) and the others are
    its parameters, as transformers calls them; `original_context` is the context before scaling, in tokens.
    """

    theta: float | None = None
    type: str | None = None
    factor: float | None = None
    original_context: int | None = None
    attention_factor: float | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    long_factor: list[float] | None = None
    short_factor: list[float] | None = None


@dataclass
class Experts:
    """A mixture of experts: how many each layer has and how many a token uses besides the shared ones.

    `intermediate` is the width of one expert; the first `dense_layers` layers have a plain feed-forward block instead.
    """

    routed: int | None = None
    shared: int | None = None
    active: int | None = None
    intermediate: int | None = None
    dense_layers: int | None = None


@dataclass
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): ranks of the projections and widths of a head.

    The cache holds `kv_rank + rope_dim` numbers per token and layer.
    """

    query_rank: int | None = None
    kv_rank: int | None = None
    rope_dim: int | None = None
    nope_dim: int | None = None
    value_dim: int | None = None


@dataclass
class Model:
    """Facts about one model: enough to plan a run without a hub.

    `path` is a folder saved by an earlier run and wins over `repo`. `attention` is auto, sdpa, eager or
    flash_attention_2; `kernels` takes layers from the Hub's kernels. `chat_template` is the name of one of r1lab's
    templates, a .jinja file or Jinja text, and null for the model's own; `eos_token` is the token that ends a turn.

    The architecture, in counts and tokens: `type` is transformers' model_type, `head_dim` hidden / heads where null,
    `tied` whether embedding and head are one matrix, `bias` whether queries, keys and values have one, `published_rope`
    the rotary embeddings of the repository, `parameters` the exact count. None of this changes the model; `rope` does:
    a theta or scaling of one's own is written into its config, and `context` with it. `max_new_tokens` is the longest
    completion worth sampling.
    """

    name: str = "???"
    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    dtype: str = "bfloat16"
    attention: str = "auto"
    kernels: bool = False
    chat_template: str | None = None
    eos_token: str | None = None
    rope: Rope = field(default_factory=Rope)
    type: str | None = None
    layers: int | None = None
    hidden: int | None = None
    intermediate: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    tied: bool | None = None
    bias: bool | None = None
    experts: Experts = field(default_factory=Experts)
    latent: Latent = field(default_factory=Latent)
    published_rope: Rope = field(default_factory=Rope)
    parameters: int | None = None
    max_new_tokens: int = 512
    build: dict[str, Any] | None = None
