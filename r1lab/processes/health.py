"""Servers over HTTP: a port for one, whether it says that it is ready, and waiting until it does."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable

LOOK = 0.1  # seconds between two looks
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a server of this run is never behind a proxy


def free_port(address: str = "") -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def healthy(url: str, seconds: float = 2.0) -> bool:
    """Whether a server says that it is ready; its address with or without /v1."""
    try:
        with OPENER.open(f"{url.removesuffix('/').removesuffix('/v1')}/health", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):  # not there yet, or not ready
        return False


def wait_until_healthy(address: Callable[[], str], seconds: float, look: Callable[[], None]) -> str:
    """Wait until a server is ready; its address, "" where it was not in time.

    Args:
        address: tells where it answers; "" while nobody knows.
        seconds: that it has.
        look: called between two tries; raises where waiting is in vain.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        look()
        url = address()
        if url and healthy(url):
            return url
        time.sleep(LOOK)
    return ""
