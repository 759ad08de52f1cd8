"""`${stage.NAME.OUTPUT}` in a pipeline's stages: read by r1lab once the stage is known, and text to OmegaConf."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

TAKEN = re.compile(r"\$\{stage\.([^.{}]+)\.([^{}]+)\}")
ANY_TAKEN = re.compile(r"\$\{stage\b[^{}]*\}")
HOLDERS = ("stages", "each")  # of a pipeline's `task`


def with_references(cfg: DictConfig) -> DictConfig:
    """A config in which they are escaped; any other interpolation in a stage is the pipeline's own.

    Anything but a pipeline's config is given back as it is.
    """
    task = cfg.get("task")
    if not isinstance(task, DictConfig) or not task.get(HOLDERS[0]):
        return cfg
    kept = cfg.copy()
    for name in HOLDERS:
        if OmegaConf.is_config(node := kept.task.get(name)):
            kept.task[name] = _escaped(OmegaConf.to_container(node, resolve=False))
    return kept


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"(?<!\\)" + ANY_TAKEN.pattern, lambda found: "\\" + found[0], value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
