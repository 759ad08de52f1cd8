"""Where a model's files come from."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig

from r1lab.models import tiny

ADAPTER_FILE = "adapter_config.json"


def source(cfg: DictConfig) -> str:
    """Where tokenizer and weights come from: a folder, a Hub repository, or the built model's folder."""
    if cfg.path:
        return str(cfg.path)
    if cfg.repo:
        return str(cfg.repo)
    return str(tiny.ensure(cfg))


def base_of(folder: Path, cfg: DictConfig) -> str:
    """The model that the adapter in a folder was trained on: the config's, else the one that the folder names."""
    if cfg.repo:
        return str(cfg.repo)
    named = str(json.loads((folder / ADAPTER_FILE).read_text(encoding="utf-8"))["base_model_name_or_path"])
    return str(tiny.ensure(cfg)) if cfg.build and not Path(named).is_dir() else named


def is_adapter(where: str) -> bool:
    """Whether a folder holds an adapter instead of a whole model."""
    return (Path(where) / ADAPTER_FILE).is_file()
