"""The reference model of GRPO with beta > 0: TRL loads it a second time, from where the config says the model is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from transformers import AutoConfig, PreTrainedModel, TrainingArguments

from r1lab.models.source import is_adapter, source

LOADED = ("vocab_size", "rope_parameters", "max_position_embeddings")  # what loading may have changed


def as_loaded(model: PreTrainedModel, cfg: DictConfig, args: TrainingArguments, folder: Path) -> dict[str, Any] | None:
    """Have TRL's second copy be the model as it stands before training; TRL's `model_init_kwargs` for that.

    A model that differs from its source (an adapter merged, rotary embeddings of one's own, a larger vocabulary) is
    written to `folder` and named as coming from there; any other is read again at the same revision.

    Args:
        model: the model, loaded and not trained yet.
        cfg: the `model` node of a run.
        args: the trainer's arguments, which know the processes.
        folder: where the copy may be written.
    """
    where = source(cfg)
    if is_adapter(where) or _differs(model, AutoConfig.from_pretrained(where, revision=cfg.revision)):
        with args.main_process_first(local=False):
            if args.process_index == 0:
                model.save_pretrained(folder)
        model.config._name_or_path = str(folder)
        return None
    return {"revision": cfg.revision} if cfg.revision not in (None, "main") else None


def _differs(model: PreTrainedModel, published: Any) -> bool:
    return any(getattr(model.config, name, None) != getattr(published, name, None) for name in LOADED)
