"""A tiny random model, and trainers on it that need no run around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from r1lab.models.tiny import tokenizer


@pytest.fixture(scope="session")
def tok() -> PreTrainedTokenizerFast:
    return tokenizer()


@pytest.fixture
def new_model(tok: PreTrainedTokenizerFast) -> Callable[[], Qwen2ForCausalLM]:
    """Makes a Qwen2 of two layers; the same weights at every call."""

    def make() -> Qwen2ForCausalLM:
        torch.manual_seed(0)
        config = Qwen2Config(
            vocab_size=len(tok),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            initializer_range=0.2,
            eos_token_id=tok.eos_token_id,
            pad_token_id=tok.pad_token_id,
            bos_token_id=None,
        )
        return Qwen2ForCausalLM(config)

    return make


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Makes the arguments that every trainer of these tests takes."""

    def make(**changes: Any) -> dict[str, Any]:
        common = {
            "output_dir": str(tmp_path / "checkpoints"),
            "use_cpu": True,
            "bf16": False,
            "report_to": "none",
            "disable_tqdm": True,
            "learning_rate": 1e-2,
            "gradient_checkpointing": False,
        }
        return {**common, **changes}

    return make
