"""Where a model's files come from."""

from __future__ import annotations

import json
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from omegaconf import DictConfig

from r1lab.errors import Finding, UserError
from r1lab.models import tiny

ADAPTER_FILE = "adapter_config.json"
PAGE = "https://huggingface.co/"


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


def unloadable(where: str, error: Exception) -> UserError:
    """Why a model's files cannot be had, and what to do, from what transformers raised for it."""
    causes: list[BaseException] = [error]
    while (before := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(before)

    def caused_by(kind: type[BaseException]) -> bool:
        return any(isinstance(cause, kind) for cause in causes)

    folder = "or model.path=FOLDER"
    if caused_by(GatedRepoError):
        why = "it is gated, and your login may not read it"
        fix = f"ask for access at {PAGE}{where}, then log in: hf auth login, or HF_TOKEN in the environment"
    elif caused_by(RevisionNotFoundError):
        why, fix = "it has no such revision", f"model.revision=NAME, one of those at {PAGE}{where}/tree/main"
    elif caused_by(RepositoryNotFoundError):
        why = "the Hub has no such model that you may read"
        fix = f"is it at {PAGE}{where}? A private one needs hf auth login; {folder}"
    elif caused_by(LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        why = "HF_HUB_OFFLINE is set, so nothing is fetched from the Hub, and this machine has no copy of it"
        fix = f"where there is a network: hf download {where}; {folder}"
    elif caused_by(LocalEntryNotFoundError):
        why, fix = "the Hub cannot be reached, and this machine has no copy of it", f"check the network; {folder}"
    else:
        why, fix = str(error).strip().partition("\n")[0] or type(error).__name__, ""
    return UserError(Finding(f"model {where} cannot be loaded: {why}", fix=fix).text())
