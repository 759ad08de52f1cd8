"""The run's own server: how it is started, where it answers, and whether it is ready."""

from __future__ import annotations

import fcntl
import socket
import struct
import urllib.request

from omegaconf import DictConfig

from r1lab.config.serving import Nodes, serve_command
from r1lab.launch.roles import Serve

SIOCGIFADDR = 0x8915
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a node of this run is never behind a proxy


def command_of(cfg: DictConfig, role: Serve, address: str, port: int, head: str) -> list[str]:
    """The command that starts one node's part of `vllm serve`, whose weights a trainer replaces.

    Args:
        cfg: the resolved config.
        role: this node's part.
        address: this node's, as the others reach it.
        port: where it answers, on the first node that serves.
        head: the address of that node.
    """
    engine = cfg.engine.copy()
    engine.max_model_len = engine.max_model_len or longest(cfg)
    nodes = Nodes(role.nodes, role.place, head, role.local)
    weights = str(cfg.model.path or cfg.model.repo)
    return serve_command(engine, cfg.model, weights, host=address, port=port, nodes=nodes, trainable=True)


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
