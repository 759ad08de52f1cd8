"""The engine that a run's config describes, ready to complete; what it starts ends with the block.

    with ready(cfg, folder.path) as made:
        fill(made.engine, store, prompts, sampling, made.identity)

Each kind has a module of its own, loaded where it is chosen: a run that asks a server needs no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from r1lab.engines.base import Engine
from r1lab.terminal import lengthy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("r1lab")


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
    name = kind_of(cfg)
    with lengthy(f"loading the libraries of engine={cfg.engine.name}"):
        module = import_module(f"r1lab.generation.by_{name}")
    opened: AbstractContextManager[Ready] = module.ready(cfg, folder)
    with opened as made:
        log.info("engine %s: %s", cfg.engine.name, made.identity)
        yield made


def kind_of(cfg: DictConfig) -> str:
    """Which module makes a run's engine: the engine's name, or `started` for a server that is not there yet."""
    engine = cfg.engine
    return "started" if engine.name == "server" and not engine.urls else str(engine.name)
