"""engine=server without urls: `vllm serve`, started for the run and ended with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from r1lab.config.serving import serve_command
from r1lab.engines.server import ServerEngine
from r1lab.engines.serving import StartedServer, free_port
from r1lab.generation.by_server import patience
from r1lab.generation.engines import Ready
from r1lab.generation.for_vllm import SERVER, for_vllm, saved
from r1lab.models.identity import identity_of

log = logging.getLogger("r1lab")


@contextmanager
def ready(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    """See `engines.ready`."""
    settings = cfg.engine
    where, tokenizer, ends = for_vllm(cfg.model)
    port, device = free_port(), cfg.accelerator.device
    command = serve_command(settings, cfg.model, where, saved(tokenizer, folder), port=port, device=device)
    server = StartedServer(command, port, folder / SERVER / "server.log", settings.start_timeout)
    log.info("starting %s", " ".join(command))
    print(f"starting {Path(command[0]).name} serve for {cfg.model.name}; its log is {server.log}", flush=True)
    with server:
        name = settings.model or cfg.model.name
        extra = {"stop_token_ids": ends}
        engine = ServerEngine([server.url], name, extra=extra, gone=server.gone, **patience(settings))
        try:
            identity = {"engine": "server", **identity_of(cfg.model, where, tokenizer)}
            yield Ready(engine, identity, engine.served().get("max_model_len"), tokenizer)
        finally:
            engine.close()
