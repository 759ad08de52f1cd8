"""Adapters: peft's config from the run's, and an adapter merged into the model it was trained on."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from r1lab.config.packages import EXTRAS, installed
from r1lab.errors import ConfigError, Finding
from r1lab.models.source import source
from r1lab.models.tokens import CHATML_TOKENS

OWN = ("name", "_target_", "merge", "quantisation")  # keys of `adapter` that are not peft's


def peft_config(cfg: DictConfig, tok: PreTrainedTokenizerBase) -> Any | None:
    """The peft config of a run; None where every weight is trained.

    Tokens that r1lab added to the vocabulary are trained as well: the frozen model knows nothing of them.

    Args:
        cfg: the resolved run.
        tok: its tokenizer, as `load_tokenizer` gives it.

    Raises:
        ConfigError: peft is missing, or refuses the values.
    """
    if not cfg.adapter.get("_target_"):
        return None
    _require_peft()
    container: Any = OmegaConf.to_container(cfg.adapter, resolve=True)
    values = {key: value for key, value in container.items() if key not in OWN}
    if added := added_tokens(cfg.model, tok):
        values.setdefault("trainable_token_indices", added)
    module, _, name = str(cfg.adapter._target_).rpartition(".")
    try:
        return getattr(import_module(module), name)(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError([Finding(f"peft refuses the adapter's settings: {error}", "adapter")]) from error


def added_tokens(cfg: DictConfig, tok: PreTrainedTokenizerBase) -> list[int]:
    """The ids of ChatML's tokens that the model's own tokenizer lacks."""
    if cfg.chat_template:
        return []
    known = AutoTokenizer.from_pretrained(source(cfg), revision=cfg.revision).get_vocab()
    vocabulary = tok.get_vocab()
    return [vocabulary[token] for token in CHATML_TOKENS if token in vocabulary and token not in known]


def merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """A model with the adapter of a folder added to its weights."""
    _require_peft()
    whole: PreTrainedModel = import_module("peft").PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return whole.requires_grad_(True)  # peft had frozen it


def complete_head(model: Any) -> None:
    """Give a head that peft has wrapped, as it does where embedding and head are one matrix, the bias that TRL reads."""
    head = model.get_output_embeddings()
    if head is not None and not hasattr(head, "bias"):
        head.bias = getattr(head.original_module, "bias", None)


def _require_peft() -> None:
    if not installed("peft"):
        raise ConfigError([Finding("adapters need peft, which is not installed", "adapter", fix=EXTRAS["peft"])])
