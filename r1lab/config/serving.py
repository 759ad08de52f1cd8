"""`vllm serve` as a command line, from a run's words, for whoever starts a server, here or on another node."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

MASTER_PORT = 29560  # where the nodes of one copy of a model meet
RPC_PORT = 29550  # where the nodes of several copies do
TRAINABLE = {  # what a server needs whose weights a trainer replaces
    "weight-transfer-config": {"backend": "nccl"},
    "logprobs-mode": "processed_logprobs",  # of what was sampled, temperature included: TRL's importance ratios
    "max-logprobs": -1,
}
TRAINABLE_ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1"}  # the server then takes new weights


@dataclass(frozen=True)
class Nodes:
    """The nodes that one server spans, and which of them this is; the first has the server's address.

    Attributes:
        count: how many there are.
        rank: this one's number, from 0.
        head: the first one's address.
        copies: whole copies of the model on each node; 0 where one copy spans several.
    """

    count: int = 1
    rank: int = 0
    head: str = "127.0.0.1"
    copies: int = 0


def executable(engine: DictConfig) -> str | None:
    """The `vllm` program: `engine.command`, else the one beside this Python, else on PATH; None where there is none."""
    if engine.command:
        return shutil.which(str(Path(str(engine.command)).expanduser()))
    beside = Path(sys.executable).parent / "vllm"
    return str(beside) if beside.is_file() else shutil.which("vllm")


def serve_command(
    engine: DictConfig,
    model: DictConfig,
    weights: str,
    tokenizer: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    nodes: Nodes = Nodes(),
    device: str = "cuda",
    trainable: bool = False,
) -> list[str]:
    """The command that serves a model.

    Args:
        engine, model: these nodes of a run.
        weights: the model's folder or repository.
        tokenizer: the folder of a tokenizer with the run's chat template; None: the model's own.
        host, port: where it listens.
        nodes: those that the server spans; on all but the first it runs without an address of its own.
        device: "cpu" or "cuda".
        trainable: whether a trainer replaces its weights.
    """
    words: dict[str, Any] = {
        "served-model-name": engine.model or model.name,
        "dtype": model.dtype,
        "host": host,
        "port": port,
        "tokenizer": tokenizer,
        "revision": None if Path(weights).is_dir() else model.revision,
        "tensor-parallel-size": engine.tensor_parallel,
        "pipeline-parallel-size": engine.pipeline_parallel,
        "data-parallel-size": engine.data_parallel,
        "gpu-memory-utilization": engine.gpu_memory_utilization,
        "max-model-len": engine.max_model_len,
        "generation-config": "vllm",  # a model's own top-p and temperature would stand in for what a request leaves out
    }
    if device == "cpu" and engine.tensor_parallel * engine.pipeline_parallel * engine.data_parallel == 1:
        words["distributed-executor-backend"] = "uni"
    if trainable:
        words |= TRAINABLE
    words |= _over(nodes)
    given: Any = OmegaConf.to_container(engine.arguments, resolve=True) if engine.arguments else {}
    words |= {str(name).replace("_", "-"): value for name, value in given.items()}
    return [executable(engine) or str(engine.command or "vllm"), "serve", weights, *_flags(words)]


def _over(nodes: Nodes) -> dict[str, Any]:
    """The words of a server's part on one node: copies of their own on each, or one copy over several."""
    if nodes.count == 1:
        return {}
    if not nodes.copies:
        words = {"nnodes": nodes.count, "node-rank": nodes.rank, "master-addr": nodes.head, "master-port": MASTER_PORT}
        return words | {"headless": nodes.rank > 0}
    words = {"data-parallel-size-local": nodes.copies, "data-parallel-address": nodes.head}
    words |= {"data-parallel-rpc-port": RPC_PORT}
    if nodes.rank:
        words |= {"data-parallel-start-rank": nodes.rank * nodes.copies, "headless": True}
    return words


def _flags(words: Mapping[str, Any]) -> list[str]:
    """Words as flags: true is the bare flag, false and null none, mappings and lists JSON."""
    flags: list[str] = []
    for name, value in words.items():
        if value is True:
            flags.append(f"--{name}")
        elif value is not None and value is not False:
            flags += [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return flags
