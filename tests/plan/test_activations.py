"""Activations by formula against every tensor that torch saves for the backward pass of a real layer, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch.autograd.graph import saved_tensors_hooks

from r1lab.plan.activations import head_bytes, kv_bytes, layer_bytes
from r1lab.plan.parameters import Shape

SHAPE = Shape(2, 64, 176, 4, 2, 64, 16, True)
ROWS, LENGTH = 2, 48
KINDS = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama", "mistral": "Mistral"}


def saved_per_layer(kind: str, dtype: torch.dtype, attention: str, padded: bool, autocast: bool) -> float:
    """Bytes per token that one more layer keeps: measured on models of two and of three layers."""
    sizes = []
    for layers in (2, 3):
        config = getattr(transformers, f"{kind}Config")(
            num_hidden_layers=layers,
            hidden_size=SHAPE.hidden,
            intermediate_size=SHAPE.intermediate,
            num_attention_heads=SHAPE.heads,
            num_key_value_heads=SHAPE.kv_heads,
            head_dim=SHAPE.head_dim,
            vocab_size=SHAPE.vocabulary,
            attn_implementation=attention,
            **({"sliding_window": None} if kind == "Mistral" else {}),
        )
        model = getattr(transformers, f"{kind}Model")(config).to(dtype).train()
        sizes.append(saved_bytes(model, padded, autocast))
    return (sizes[1] - sizes[0]) / (ROWS * LENGTH)


def saved_bytes(model: Any, padded: bool, autocast: bool) -> int:
    own = {item.untyped_storage().data_ptr() for item in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    mask = torch.ones(ROWS, LENGTH, dtype=torch.long)
    mask[0, -5:] = 0
    ids = torch.randint(0, SHAPE.vocabulary, (ROWS, LENGTH))
    with saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        model(input_ids=ids, attention_mask=mask if padded else None, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", KINDS)
def test_a_layer_keeps_what_the_formula_says(name: str, dtype: torch.dtype, attention: str, padded: bool) -> None:
    measured = saved_per_layer(KINDS[name], dtype, attention, padded, autocast=False)
    shape = Shape(**{**SHAPE.__dict__, "qk_norm": name == "qwen3"})
    assert layer_bytes(shape, LENGTH, dtype.itemsize, attention, padded) == measured


def test_a_layer_under_autocast() -> None:
    """Here the formula leaves out copies of weights, which `states.weight_bytes` counts: those are taken off."""
    measured = saved_per_layer("Qwen2", torch.float32, "sdpa", False, autocast=True)
    copies = 2 * sum(inputs * outputs for inputs, outputs, _ in SHAPE.linear.values()) / (ROWS * LENGTH)
    assert layer_bytes(SHAPE, LENGTH, 2, "sdpa", False, mixed=True) == measured - copies


def test_keys_and_values() -> None:
    cache = transformers.DynamicCache()
    width = (ROWS, SHAPE.kv_heads, LENGTH, SHAPE.head_dim)
    for layer in range(SHAPE.layers):
        cache.update(torch.zeros(width, dtype=torch.bfloat16), torch.zeros(width, dtype=torch.bfloat16), layer)
    held = sum(item.nbytes for layer in cache.layers for item in (layer.keys, layer.values))
    assert kv_bytes(SHAPE, 2) * ROWS * LENGTH == held
    latent = Shape(**{**SHAPE.__dict__, "latent": (24, 16, 8, 12, 20)})
    assert kv_bytes(latent, 2) == 2 * SHAPE.layers * (16 + 8)


def test_the_fused_head_never_holds_the_logits() -> None:
    real = Shape(28, 3584, 18944, 28, 4, 152064, 128, False)
    tokens = 65536
    logits = tokens * real.vocabulary * 4
    assert head_bytes(real, tokens, 2, on_cpu=False) < logits / 5
    assert head_bytes(real, tokens, 2, on_cpu=False, trains_head=False) < logits / 10
