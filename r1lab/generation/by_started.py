"""engine=server without urls: `vllm serve`, started for the run and ended with it.

On one node, this process starts it. Over several, this process says what is to be served, since it knows where the
weights and the tokenizer are; the nodes' supervisors start a part each, watch it, and end it with the run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from r1lab.config.serving import serve_command
from r1lab.engines.server import ServerEngine
from r1lab.engines.serving import StartedServer
from r1lab.errors import EngineError
from r1lab.generation.by_server import patience
from r1lab.generation.engines import Ready
from r1lab.generation.for_vllm import SERVER, for_vllm, saved
from r1lab.launch import SERVING
from r1lab.models.identity import identity_of
from r1lab.processes.health import free_port, wait_until_healthy
from r1lab.runs.folder import write_atomic
from r1lab.terminal import lengthy

log = logging.getLogger("r1lab")


@contextmanager
def ready(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    """See `engines.ready`."""
    settings = cfg.engine
    where, tokenizer, ends = for_vllm(cfg.model)
    files = {"weights": where, "tokenizer": saved(tokenizer, folder)}
    notes = os.environ.get(SERVING)
    with over_nodes(cfg, files, Path(notes)) if notes else here(cfg, files, folder) as (url, gone):
        name = settings.model or cfg.model.name
        engine = ServerEngine([url], name, extra={"stop_token_ids": ends}, gone=gone, **patience(settings))
        try:
            identity = {"engine": "server", **identity_of(cfg.model, where, tokenizer)}
            yield Ready(engine, identity, engine.served().get("max_model_len"), tokenizer)
        finally:
            engine.close()


Started = tuple[str, Callable[[], str]]  # its address, and what tells why it is gone


@contextmanager
def here(cfg: DictConfig, files: dict[str, str], folder: Path) -> Iterator[Started]:
    """A server that this process starts, and ends with the block."""
    port = free_port("127.0.0.1")
    weights, tokenizer = files["weights"], files["tokenizer"]
    command = serve_command(cfg.engine, cfg.model, weights, tokenizer, port=port, device=cfg.accelerator.device)
    server = StartedServer(command, port, folder / SERVER / "server.log", cfg.engine.start_timeout)
    log.info("starting %s", " ".join(command))
    print(f"starting {Path(command[0]).name} serve for {cfg.model.name}; its log is {server.log}", flush=True)
    with server:
        yield server.url, server.gone


@contextmanager
def over_nodes(cfg: DictConfig, files: dict[str, str], notes: Path) -> Iterator[Started]:
    """A server whose parts the supervisors of the run's nodes start; one that dies ends this process, with its cause.

    Args:
        cfg: the run's config.
        files: the folders that it serves, which every node sees.
        notes: where the nodes leave word for each other.

    Raises:
        EngineError: it is not ready within `engine.start_timeout`.
    """
    place, limit = notes / "server", cfg.engine.start_timeout
    write_atomic(notes / "serve.json", json.dumps(files))

    def address() -> str:
        return place.read_text() if place.is_file() else ""

    with lengthy(f"waiting for the server over {cfg.engine.nodes} nodes to load {cfg.model.name}"):
        url = wait_until_healthy(address, limit, lambda: None)
    if not url:
        where = address() or "the run's nodes"
        raise EngineError(f"the server at {where} was not ready after {limit:g} seconds (engine.start_timeout)")
    log.info("the server over %d nodes is ready at %s", cfg.engine.nodes, url)
    yield f"{url}/v1", lambda: ""
