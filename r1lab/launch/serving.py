"""The run's own server: the command of each node's part, and the network that the nodes have in common."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Mapping

from omegaconf import DictConfig

from r1lab.config.serving import Nodes, serve_command
from r1lab.launch.roles import Serve

SIOCGIFADDR = 0x8915


def command_of(
    cfg: DictConfig, role: Serve, address: str, port: int, head: str, saved: Mapping[str, str] | None = None
) -> list[str]:
    """The command that starts one node's part of `vllm serve`; where the run trains, its weights are replaced.

    Args:
        cfg: the resolved config.
        role: this node's part.
        address: this node's, as the others reach it.
        port: where it answers, on the first node that serves.
        head: the address of that node.
        saved: the folders of the `weights` and the `tokenizer`, where the run's process has found them.
    """
    engine, found = cfg.engine.copy(), saved or {"weights": str(cfg.model.path or cfg.model.repo)}
    engine.max_model_len = engine.max_model_len or longest(cfg)
    return serve_command(
        engine,
        cfg.model,
        **found,
        host=address,
        port=port,
        nodes=Nodes(role.nodes, role.place, head, role.local),
        device=cfg.accelerator.device,
        trainable=bool(cfg.get("trainer")),
    )


def longest(cfg: DictConfig) -> int | None:
    """Tokens of a prompt and its completion, where a training's config limits both."""
    if not cfg.get("trainer"):
        return None
    prompt, completion = cfg.dataset.get("max_prompt_tokens"), cfg.trainer.get("max_completion_length")
    return int(prompt) + int(completion) if prompt and completion else None


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
