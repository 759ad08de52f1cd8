"""The reference model of GRPO with beta > 0, which TRL loads from where the model's config says that it is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from transformers import AutoConfig, PreTrainedModel

from r1lab.models.loading import gathered
from r1lab.models.source import is_adapter, source
from r1lab.trainers.ranks import meet, rank

LOADED = ("vocab_size", "rope_parameters", "max_position_embeddings")  # what loading may have changed


def as_loaded(model: PreTrainedModel, cfg: DictConfig, folder: Path) -> dict[str, Any] | None:
    """Have TRL's second copy be the model as it stands before training; TRL's `model_init_kwargs` for that.

    A model that differs from its source (an adapter merged, rotary embeddings of one's own, a larger vocabulary) is
    written to `folder` and named as coming from there; any other is read again at the same revision.

    Args:
        model: the model, loaded and not trained yet.
        cfg: the `model` node of a run.
        folder: where the copy may be written.
    """
    where = source(cfg)
    if is_adapter(where) or _differs(model, AutoConfig.from_pretrained(where, revision=cfg.revision)):
        weights = whole(model)
        if rank() == 0:
            model.save_pretrained(folder, state_dict=weights)
        meet()
        model.config._name_or_path = str(folder)
        return None
    return {"revision": cfg.revision} if cfg.revision not in (None, "main") else None


def whole(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights in the first process's memory, also where they are spread over all; nothing in the others'."""
    copies: dict[int, torch.Tensor] = {}  # a weight that stands in two places stays one
    found: dict[str, torch.Tensor] = {}
    for name, weight in model.state_dict(keep_vars=True).items():
        with gathered(weight):  # every process has to take part
            if rank() == 0:
                found[name] = copies.setdefault(id(weight), weight.detach().cpu().clone())
    return found


def _differs(model: PreTrainedModel, published: Any) -> bool:
    return any(getattr(model.config, name, None) != getattr(published, name, None) for name in LOADED)
