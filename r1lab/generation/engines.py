"""The engine that a run's config describes, ready to complete; what it starts ends with the block.

with ready(cfg, folder.path) as made:
    fill(made.engine, store, prompts, sampling, made.identity)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from r1lab.config.environment import ENGINE_KEY, lookup
from r1lab.config.serving import serve_command
from r1lab.engines.base import Engine
from r1lab.engines.server import ServerEngine
from r1lab.engines.serving import StartedServer, free_port
from r1lab.engines.transformers import TransformersEngine
from r1lab.engines.vllm import VllmEngine
from r1lab.errors import UserError
from r1lab.models.identity import identity_of
from r1lab.models.loading import load_model
from r1lab.models.source import source
from r1lab.models.tokens import end_of_turn, load_tokenizer

log = logging.getLogger("r1lab")
SERVER = "server"  # the folder of a started server, in the run's: its log and its tokenizer


@dataclass(frozen=True)
class Ready:
    """An engine that can complete.

    Attributes:
        engine: the engine.
        identity: what of it bears on its completions, as JSON values; part of their key in a store.
        context: tokens of a prompt with its completion; None where nobody says.
        tokenizer: the model's, with the run's chat template; None where only a server knows it.
    """

    engine: Engine
    identity: dict[str, Any]
    context: int | None = None
    tokenizer: PreTrainedTokenizerBase | None = None


@contextmanager
def ready(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    """The engine of a run.

    Args:
        cfg: the resolved config of a run: `engine`, `model`, `accelerator` and `eval.batch` are read.
        folder: the run's; a server that is started has its log there.

    Raises:
        UserError: the model cannot be loaded, or not by this engine.
        EngineError: a server does not start, does not answer, or serves another model.
    """
    kinds = {"transformers": _transformers, "vllm": _vllm, "server": _server}
    with kinds[str(cfg.engine.name)](cfg, folder) as made:
        log.info("engine %s: %s", cfg.engine.name, made.identity)
        yield made


@contextmanager
def _transformers(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    tokenizer = load_tokenizer(cfg.model)
    model = load_model(cfg.model, cfg.accelerator.device, tokenizer)
    context = getattr(model.config, "max_position_embeddings", None)
    engine = TransformersEngine(model, tokenizer, cfg.eval.batch, cfg.engine.shortcuts, own_dice=True, context=context)
    yield Ready(engine, _identity(cfg, source(cfg.model), tokenizer), context, tokenizer)


@contextmanager
def _vllm(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    where, tokenizer, ends = _for_vllm(cfg.model)
    engine = VllmEngine(where, tokenizer, ends, in_process(cfg, _saved(tokenizer, folder)))
    try:
        yield Ready(engine, _identity(cfg, where, tokenizer), engine.context, tokenizer)
    finally:
        engine.close()


@contextmanager
def _server(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    settings = cfg.engine
    more = {name: settings[name] for name in ("in_flight", "tries", "timeout", "patience")}
    if settings.urls:
        engine = ServerEngine(list(settings.urls), settings.model, api_key=lookup(ENGINE_KEY), **more)
        try:
            served = engine.served()
            about = {name: cfg.model[name] for name in ("name", "repo", "revision")}
            identity = {"engine": "server", "served": served["id"], "root": served.get("root"), "model": about}
            yield Ready(engine, identity, served.get("max_model_len"))
        finally:
            engine.close()
        return
    where, tokenizer, ends = _for_vllm(cfg.model)
    port = free_port()
    command = serve_command(
        settings, cfg.model, where, _saved(tokenizer, folder), port=port, device=cfg.accelerator.device
    )
    started = StartedServer(command, port, folder / SERVER / "server.log", settings.start_timeout)
    log.info("starting %s", " ".join(command))
    print(f"starting {Path(command[0]).name} serve {cfg.model.name}; its log is {started.log}", flush=True)
    with started:
        extra = {"stop_token_ids": ends}
        engine = ServerEngine([started.url], settings.model or cfg.model.name, extra=extra, gone=started.gone, **more)
        try:
            context = engine.served().get("max_model_len")
            yield Ready(engine, _identity(cfg, where, tokenizer), context, tokenizer)
        finally:
            engine.close()


def _identity(cfg: DictConfig, where: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {"engine": str(cfg.engine.name), **identity_of(cfg.model, where, tokenizer)}


def in_process(cfg: DictConfig, tokenizer: str) -> dict[str, Any]:
    """The arguments of vllm.LLM beside the model, from a run's words."""
    settings = cfg.engine
    words = {
        "tokenizer": tokenizer,
        "dtype": cfg.model.dtype,
        "revision": None if cfg.model.path or cfg.model.build else cfg.model.revision,
        "tensor_parallel_size": settings.tensor_parallel,
        "pipeline_parallel_size": settings.pipeline_parallel,
        "data_parallel_size": settings.data_parallel,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "max_model_len": settings.max_model_len,
        "generation_config": "vllm",
        "disable_log_stats": True,
    }
    if cfg.accelerator.device == "cpu" and settings.tensor_parallel * settings.pipeline_parallel == 1:
        words["distributed_executor_backend"] = "uni"
    given: Any = OmegaConf.to_container(settings.arguments, resolve=True) if settings.arguments else {}
    words |= {str(name).replace("-", "_"): value for name, value in given.items()}
    return {name: value for name, value in words.items() if value is not None}


def _for_vllm(model: DictConfig) -> tuple[str, PreTrainedTokenizerBase, list[int]]:
    """Where vLLM finds a model's weights, the run's tokenizer, and the tokens that end a completion.

    Raises:
        UserError: the chat template needs tokens for which the model has no weights.
    """
    where, tokenizer = source(model), load_tokenizer(model)
    try:
        config = AutoConfig.from_pretrained(where, revision=model.revision)
        generation = GenerationConfig.from_model_config(config)
        try:
            generation = GenerationConfig.from_pretrained(where, revision=model.revision)
        except OSError:  # not every model has one
            log.info("%s has no generation config", where)
    except (OSError, ValueError) as error:
        raise UserError(f"model {where} cannot be loaded: {str(error).splitlines()[0]}") from error
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise UserError(
            f"model {where} has no chat template, and no weights for the tokens of ChatML "
            f"({len(tokenizer)} tokens, {rows} rows): vLLM serves it as it is\n"
            "    fix      model.chat_template=FILE.jinja with tokens that it has, or engine=transformers"
        )
    declared = generation.eos_token_id if isinstance(generation.eos_token_id, list) else [generation.eos_token_id]
    last = end_of_turn(tokenizer)
    said = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(last) if last else None, *declared]
    return where, tokenizer, sorted({token for token in said if isinstance(token, int)})


def _saved(tokenizer: PreTrainedTokenizerBase, folder: Path) -> str:
    """The folder of a tokenizer with the run's chat template, for a server to read."""
    saved = folder / SERVER / "tokenizer"
    tokenizer.save_pretrained(str(saved))
    return str(saved)
