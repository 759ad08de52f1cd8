"""One node's part of a server for a trainer, by its role, as words of `vllm serve`."""

from __future__ import annotations

from typing import Any

import pytest

from r1lab.launch.roles import roles
from r1lab.launch.serving import command_of
from r1lab.notebook import compose

TABLE = [
    ("beside the trainer", {"gpus": 2, "data_parallel": 2}, {"data-parallel-size": "2"}, set()),
    ("a node of its own", {"nodes": 1, "tensor_parallel": 8}, {"tensor-parallel-size": "8"}, set()),
    (
        "copies on the first of two nodes",
        {"nodes": 2, "tensor_parallel": 2, "data_parallel": 8},
        {"data-parallel-size-local": "4", "data-parallel-address": "10.0.0.1"},
        {"headless", "data-parallel-start-rank", "nnodes"},
    ),
    (
        "copies on the second",
        {"nodes": 2, "tensor_parallel": 2, "data_parallel": 8},
        {"data-parallel-size": "8", "data-parallel-size-local": "4", "data-parallel-start-rank": "4", "headless": None},
        {"nnodes"},
    ),
    (
        "one copy, the first of two nodes",
        {"nodes": 2, "tensor_parallel": 8, "pipeline_parallel": 2},
        {"nnodes": "2", "node-rank": "0", "master-addr": "10.0.0.1", "pipeline-parallel-size": "2"},
        {"headless", "data-parallel-size-local"},
    ),
    (
        "one copy, the second",
        {"nodes": 2, "tensor_parallel": 8, "pipeline_parallel": 2},
        {"nnodes": "2", "node-rank": "1", "master-addr": "10.0.0.1", "headless": None},
        {"data-parallel-size-local"},
    ),
]


@pytest.mark.parametrize(("name", "engine", "wanted", "absent"), TABLE, ids=[row[0] for row in TABLE])
def test_the_words_of_a_part(name: str, engine: dict[str, Any], wanted: dict[str, Any], absent: set[str]) -> None:
    cfg = compose("task=grpo", "dataset.max_prompt_tokens=100", "trainer.max_completion_length=156")
    cfg.accelerator.update({"device": "cuda", "gpus": 8, "processes": 6 if "gpus" in engine else 8})
    cfg.engine.update({"name": "vllm", "mode": "server", "command": "/no/vllm", **engine})
    cfg.model.update({"path": "/a/model", "build": None})
    parts = [role.serve for role in roles(cfg) if role.serve]
    part = parts[-1 if "second" in name else 0]
    command = command_of(cfg, part, "10.0.0.2", 99, "10.0.0.1")
    assert command[:3] == ["/no/vllm", "serve", "/a/model"]
    flags = dict(
        pair(word, after) for word, after in zip(command[3:], [*command[4:], "--"], strict=True) if word[:2] == "--"
    )
    always = {"host": "10.0.0.2", "port": "99", "max-model-len": "256", "weight-transfer-config": '{"backend": "nccl"}'}
    always |= {"logprobs-mode": "processed_logprobs", "max-logprobs": "-1"}  # as TRL's trainer asks of a server
    assert (always | wanted).items() <= flags.items() and not absent & set(flags)
    assert cfg.engine.max_model_len is None  # what a run's record says is left alone


def test_a_part_of_a_server_whose_weights_nobody_replaces() -> None:
    cfg = compose("task=generate", "dataset.max_prompt_tokens=100", "engine=server", "engine.command=/no/vllm")
    cfg.accelerator.update({"device": "cuda", "gpus": 8})
    cfg.engine.update({"nodes": 2, "tensor_parallel": 8, "pipeline_parallel": 2})
    saved = {"weights": "/built/tiny", "tokenizer": "/run/tokenizer"}
    second = roles(cfg)[1].serve
    assert second is not None
    words = " ".join(command_of(cfg, second, "10.0.0.2", 99, "10.0.0.1", saved))
    assert words.startswith("/no/vllm serve /built/tiny ") and "--tokenizer /run/tokenizer" in words
    assert "--node-rank 1 --master-addr 10.0.0.1" in words and "--headless" in words
    assert "weight-transfer-config" not in words and "--max-model-len" not in words


def pair(word: str, after: str) -> tuple[str, str | None]:
    return word[2:], None if after.startswith("--") else after
