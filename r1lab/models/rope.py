"""Rotary position embeddings of one's own: a base frequency or a scaling written into the model's config."""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig
from transformers import PreTrainedConfig

from r1lab.errors import UserError

log = logging.getLogger("r1lab")
NAMES = {"theta": "rope_theta", "type": "rope_type", "original_context": "original_max_position_embeddings"}


def set_rope(config: PreTrainedConfig, cfg: DictConfig) -> None:
    """Write `model.rope`, and `model.context` with it, into a model's config where it differs; a line says so.

    Args:
        config: transformers' config of the model; it is changed.
        cfg: the `model` node of a run.

    Raises:
        UserError: the model has no rotary embeddings, or one kind for each kind of layer.
    """
    wanted: dict[str, Any] = {
        NAMES.get(str(key), str(key)): value for key, value in cfg.rope.items() if value is not None
    }
    if not wanted:
        return
    have = dict(getattr(config, "rope_parameters", None) or {})
    if not have or any(isinstance(value, dict) for value in have.values()):
        raise UserError(f"model.rope cannot be set: {config.model_type} has no rotary embeddings that all layers share")
    changed = {key: value for key, value in wanted.items() if have.get(key) != value}
    if not changed:
        return
    kept = (
        have
        if wanted.get("rope_type", have.get("rope_type")) == have.get("rope_type")
        else {"rope_theta": have.get("rope_theta")}
    )
    config.rope_parameters = {**kept, **wanted}
    told = ", ".join(
        f"{key} {have.get(key)} → {value:g}" if isinstance(value, float | int) else f"{key} {have.get(key)} → {value}"
        for key, value in changed.items()
    )
    if cfg.context and cfg.context != config.max_position_embeddings:
        told += f", max_position_embeddings {config.max_position_embeddings} → {cfg.context}"
        config.max_position_embeddings = cfg.context
    log.warning("model.rope differs from the published model: %s", told)
