"""engine=transformers: the model in this process, sampled by r1lab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from r1lab.engines.transformers import TransformersEngine
from r1lab.generation.engines import Ready
from r1lab.models.identity import identity_of
from r1lab.models.loading import load_model
from r1lab.models.source import source
from r1lab.models.tokens import load_tokenizer


@contextmanager
def ready(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    """See `engines.ready`."""
    tokenizer = load_tokenizer(cfg.model)
    model = load_model(cfg.model, cfg.accelerator.device, tokenizer)
    context = getattr(model.config, "max_position_embeddings", None)
    engine = TransformersEngine(model, tokenizer, cfg.eval.batch, cfg.engine.shortcuts, own_dice=True, context=context)
    identity = {"engine": "transformers", **identity_of(cfg.model, source(cfg.model), tokenizer)}
    yield Ready(engine, identity, context, tokenizer)
