"""The run's own server: how it is started, where it answers, and whether it is ready."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import sys
import urllib.request
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.launch.roles import Serve

SIOCGIFADDR = 0x8915
RPC_PORT = 29550  # where a server's nodes meet
DEVELOPMENT = {"VLLM_SERVER_DEV_MODE": "1"}  # the server then takes new weights
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a node of this run is never behind a proxy


def serve_command(cfg: DictConfig, role: Serve, address: str, port: int, head: str) -> list[str]:
    """The words that start one node's part of `vllm serve`, as TRL's trainer needs it: its weights can be replaced.

    Args:
        cfg: the resolved config.
        role: this node's part.
        address: this node's, as the others reach it.
        port: where it answers, on the first node that serves.
        head: the address of that node.
    """
    engine, model = cfg.engine, cfg.model
    words: dict[str, Any] = {
        "host": address,
        "port": port,
        "dtype": model.dtype,
        "tensor-parallel-size": role.tensor,
        "pipeline-parallel-size": role.pipeline,
        "data-parallel-size": role.data,
        "weight-transfer-config": json.dumps({"backend": "nccl"}),
        "logprobs-mode": "processed_logprobs",  # of what was sampled, temperature included: TRL's importance ratios
        "max-logprobs": -1,
        "revision": model.get("revision"),
        "max-model-len": engine.get("max_model_len") or longest(cfg),
        "gpu-memory-utilization": engine.get("gpu_memory_utilization"),
    }
    if role.nodes > 1 and role.local:  # whole copies on each node
        words |= {"data-parallel-size-local": role.local, "data-parallel-address": head}
        words["data-parallel-rpc-port"] = RPC_PORT
        words |= {"data-parallel-start-rank": role.place * role.local, "headless": True} if role.place else {}
    elif role.nodes > 1:  # one copy over several
        words |= {"nnodes": role.nodes, "node-rank": role.place, "master-addr": head}
        words |= {"headless": True} if role.place else {}
    words |= {str(name).replace("_", "-"): value for name, value in (engine.get("arguments") or {}).items()}
    said = [str(engine.get("command") or program()), "serve", str(model.path or model.repo)]
    for name, value in words.items():
        if value is not None and value is not False:
            said += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return said


def program() -> str:
    """vLLM's own: the one beside this Python, else the one on PATH."""
    beside = Path(sys.executable).with_name("vllm")
    return str(beside) if beside.is_file() else "vllm"


def longest(cfg: DictConfig) -> int | None:
    """Tokens of a prompt and its completion, where the config limits both."""
    prompt, completion = cfg.dataset.get("max_prompt_tokens"), cfg.trainer.get("max_completion_length")
    return int(prompt) + int(completion) if prompt and completion else None


def free_port(address: str = "") -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def healthy(url: str, seconds: float = 2.0) -> bool:
    """Whether a server says that it is ready."""
    try:
        with OPENER.open(f"{url.removesuffix('/').removesuffix('/v1')}/health", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):  # not there yet, or not ready
        return False


def interface_of(address: str) -> str:
    """The network interface of this machine that has an address; "" where none has."""
    try:
        wanted = socket.gethostbyname(address)
    except OSError:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                found = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24]
            except OSError:  # an interface without an address
                continue
            if socket.inet_ntoa(found) == wanted:
                return name
    return ""
