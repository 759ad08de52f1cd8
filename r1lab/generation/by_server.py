"""engine=server with urls: servers that are there already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.config.environment import ENGINE_KEY, lookup
from r1lab.engines.server import ServerEngine
from r1lab.generation.engines import Ready


@contextmanager
def ready(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    """See `engines.ready`. What a server is cannot be seen from here: its own word for it counts, and the config's."""
    settings = cfg.engine
    engine = ServerEngine(list(settings.urls), settings.model, api_key=lookup(ENGINE_KEY), **patience(settings))
    try:
        served = engine.served()
        about = {name: cfg.model[name] for name in ("name", "repo", "revision")}
        identity = {"engine": "server", "served": served["id"], "root": served.get("root"), "model": about}
        yield Ready(engine, identity, served.get("max_model_len"))
    finally:
        engine.close()


def patience(settings: DictConfig) -> dict[str, Any]:
    """How a client asks, from the `engine` node of a run."""
    return {name: settings[name] for name in ("in_flight", "tries", "timeout", "patience")}
