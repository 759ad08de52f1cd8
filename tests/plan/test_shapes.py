"""Parameters counted from an architecture's numbers are those of the model that transformers builds from them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from omegaconf import OmegaConf

from r1lab.plan.parameters import Shape, shape_of

SIZE = {"layers": 3, "hidden": 96, "intermediate": 160, "heads": 6, "kv_heads": 2, "vocabulary": 512}
NAMES = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "vocabulary": "vocab_size",
    "head_dim": "head_dim",
    "tied": "tie_word_embeddings",
}
MOE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "decoder_sparse_step": 1}
EXPERTS = {"experts": {"routed": 8, "active": 2, "intermediate": 48}}
MLA = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 20}
LATENT = {"query_rank": 24, "kv_rank": 16, "rope_dim": 8, "nope_dim": 12, "value_dim": 20}
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # our words beside SIZE, and transformers' own
    "qwen2": ("Qwen2", {"tied": False}, {}),
    "qwen2 tied": ("Qwen2", {"tied": True}, {}),
    "qwen3": ("Qwen3", {"type": "qwen3", "head_dim": 32, "tied": True, "bias": False}, {}),
    "llama": ("Llama", {"type": "llama", "tied": False, "bias": False}, {}),
    "llama tied": ("Llama", {"type": "llama", "tied": True, "bias": False, "head_dim": 24}, {}),
    "mistral": ("Mistral", {"type": "mistral", "head_dim": 24, "tied": False, "bias": False}, {}),
    "qwen3 experts": ("Qwen3Moe", {"type": "qwen3_moe", "head_dim": 16, "tied": False, "bias": False, **EXPERTS}, MOE),
    "mixtral": (
        "Mixtral",
        {"type": "mixtral", "tied": False, "bias": False, "experts": {"routed": 4, "active": 2, "intermediate": 160}},
        {"num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "qwen2 experts": (
        "Qwen2Moe",
        {"type": "qwen2_moe", "tied": False, "experts": {"routed": 8, "shared": 2, "active": 2, "intermediate": 48}},
        {**MOE, "shared_expert_intermediate_size": 96},
    ),
    "deepseek": (
        "DeepseekV3",
        {
            "type": "deepseek_v3",
            "tied": False,
            "bias": False,
            "kv_heads": 6,
            "latent": LATENT,
            "experts": {"routed": 8, "shared": 1, "active": 2, "intermediate": 48, "dense_layers": 1},
        },
        {
            **MLA,
            "n_routed_experts": 8,
            "n_shared_experts": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 48,
            "first_k_dense_replace": 1,
            "n_group": 2,
            "topk_group": 1,
        },
    ),
}


def built(kind: str, words: dict[str, Any], more: dict[str, Any]) -> torch.nn.Module:
    """The model of transformers without its weights."""
    given = {NAMES[name]: value for name, value in {**SIZE, **words}.items() if name in NAMES}
    config = getattr(transformers, f"{kind}Config")(**given, **more)
    with torch.device("meta"):
        model = getattr(transformers, f"{kind}ForCausalLM")(config)
    assert isinstance(model, torch.nn.Module)
    return model


def count(model: torch.nn.Module) -> int:
    """Its parameters, and the one buffer that is learnt: DeepSeek's bias of each expert."""
    learnt = [item for name, item in model.named_buffers() if name.endswith("e_score_correction_bias")]
    return sum(item.numel() for item in [*model.parameters(), *learnt])


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_counted_exactly(name: str) -> None:
    kind, words, more = MODELS[name]
    shape = shape_of(OmegaConf.create({**SIZE, **words}))
    assert shape is not None
    assert shape.total == count(built(kind, words, more))
    assert (shape.active < shape.total) == bool(shape.experts)


@pytest.mark.parametrize("biases", [{}, {"attention_bias": True}, {"mlp_bias": True}])
def test_biases_are_counted_exactly(biases: dict[str, bool]) -> None:
    attention, mlp = biases.get("attention_bias", False), biases.get("mlp_bias", False)
    shape = Shape(**SIZE, head_dim=16, tied=False, qkv_bias=attention, output_bias=attention, mlp_bias=mlp)  # type: ignore[arg-type]
    assert shape.total == count(built("Llama", {"tied": False}, biases))


@pytest.mark.parametrize(
    ("numbers", "published"),
    [
        ((28, 1536, 8960, 12, 2, 151936, 128, True), 1_543_714_304),  # Qwen2.5-1.5B
        ((64, 5120, 27648, 40, 8, 152064, 128, False), 32_763_876_352),  # Qwen2.5-32B
        ((80, 8192, 28672, 64, 8, 128256, 128, False, False), 70_553_706_496),  # Llama-3.3-70B
    ],
)
def test_published_counts(numbers: tuple[Any, ...], published: int) -> None:
    assert Shape(*numbers).total == published


def test_what_a_file_leaves_out() -> None:
    assert shape_of(OmegaConf.create({"layers": 2})) is None
    small = shape_of(OmegaConf.create(SIZE))
    assert small is not None
    assert (small.head_dim, small.tied, small.qkv_bias, small.qk_norm) == (16, True, True, False)
    given = shape_of(OmegaConf.create({**SIZE, "parameters": 7}))
    assert given is not None and given.total == 7
