"""Parameters counted from a model file's numbers are those of the transformers model built from them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from r1lab.notebook import compose
from r1lab.plan.folder import LEAST, room_needed, size, training_bytes
from r1lab.plan.model import parameters_of

MODELS = ["tiny", "qwen2.5-1.5b-instruct", "qwen2.5-math-7b"]
COUNT = """
import json, sys, torch
from transformers import Qwen2Config, Qwen2ForCausalLM
counts = {}
for name, item in json.loads(sys.argv[1]).items():
    config = Qwen2Config(
        num_hidden_layers=item["layers"], hidden_size=item["hidden"], intermediate_size=item["intermediate"],
        num_attention_heads=item["heads"], num_key_value_heads=item["kv_heads"], vocab_size=item["vocabulary"],
        max_position_embeddings=item["context"], tie_word_embeddings=item["tied"],
    )
    with torch.device("meta"):
        counts[name] = sum(weight.numel() for weight in Qwen2ForCausalLM(config).parameters())
print(json.dumps(counts))
"""
PUBLISHED = {"qwen2.5-1.5b-instruct": 1_543_714_304, "qwen2.5-math-7b": 7_615_616_512}  # their model cards' weights


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """torch's count of every model, its weights left unallocated, from a process of its own."""
    numbers = {}
    for name in MODELS:
        model = compose(f"model={name}").model
        numbers[name] = {key: value for key, value in model.items() if isinstance(value, int)}
        numbers[name]["tied"] = model.hidden < 2048
    command = [sys.executable, "-c", COUNT, json.dumps(numbers)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    counts = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(counts, dict)
    return counts


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_counted_exactly(name: str, counted: dict[str, int]) -> None:
    assert parameters_of(compose(f"model={name}").model) == counted[name]
    assert counted[name] == PUBLISHED.get(name, counted[name])


def test_unknown_numbers_are_not_guessed() -> None:
    assert parameters_of(compose("model=hub", "model.repo=a/b").model) is None


def test_room_for_a_run() -> None:
    cfg = compose("model=qwen2.5-math-7b")
    weights = PUBLISHED["qwen2.5-math-7b"] * 2
    assert training_bytes(PUBLISHED["qwen2.5-math-7b"], "bfloat16") == (weights, 2 * weights)
    assert room_needed(cfg) == LEAST + 2 * 3 * weights + weights  # one kept, one being written, and the model
    cfg.trainer.save_only_model = True
    assert room_needed(cfg) == LEAST + 2 * weights + weights
    assert room_needed(compose("task=eval")) == LEAST
    assert room_needed(compose("model=hub", "model.repo=a/b")) == LEAST


def test_bytes_as_text() -> None:
    texts = [size(count) for count in (0, 1023, 1024, 1.5 * 2**20, 3 * 2**30, 2**41)]
    assert texts == ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "3.0 GiB", "2.0 TiB"]


def test_float32_takes_twice_the_room() -> None:
    assert training_bytes(10, "float32") == (40, 80)
    assert OmegaConf.select(compose(), "model.dtype") == "float32"
