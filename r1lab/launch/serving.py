"""The run's own server: how it is started, where it answers, and whether it is ready."""

from __future__ import annotations

import fcntl
import socket
import struct
import urllib.error
import urllib.request

from omegaconf import DictConfig

from r1lab.launch.roles import Serve

SIOCGIFADDR = 0x8915
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a node of this run is never behind a proxy


def serve_command(cfg: DictConfig, role: Serve, address: str, port: int, head: str) -> list[str]:
    """The words that start one node's part of the server.

    Args:
        cfg: the resolved config.
        role: this node's part.
        address: this node's, as the others reach it.
        port: where it answers.
        head: the address of the first node that serves.
    """
    program = str(cfg.engine.get("command") or "vllm")
    return [program, "serve", str(cfg.model.path or cfg.model.repo), "--host", address, "--port", str(port)]


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
