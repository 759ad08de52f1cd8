"""The model and the tokenizer of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from r1lab.errors import DataError, UserError
from r1lab.models import tiny
from r1lab.models.templates import CHATML


def source(cfg: DictConfig) -> str:
    """Where the weights come from: a folder, a Hub repository, or the built model's folder."""
    if cfg.path:
        return str(cfg.path)
    if cfg.repo:
        return str(cfg.repo)
    return str(tiny.ensure(cfg))


def load(cfg: DictConfig, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model of a run and its tokenizer.

    Args:
        cfg: the `model` node of a run.
        device: "cpu" or "cuda".

    Raises:
        UserError: the Hub or the folder does not give it.
    """
    where = source(cfg)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            where, revision=cfg.revision, dtype=getattr(torch, cfg.dtype), attn_implementation=cfg.attention
        )
        tok = AutoTokenizer.from_pretrained(where, revision=cfg.revision)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"model {where} cannot be loaded: {str(error).splitlines()[0]}") from error
    set_template(tok, cfg)
    if tok.pad_token is None:
        tok.pad_token = tok.eos_token
    model.generation_config.eos_token_id = tok.eos_token_id
    model.generation_config.pad_token_id = tok.pad_token_id
    model.to(torch.device(device))  # type: ignore[arg-type]
    return model, tok


def set_template(tok: PreTrainedTokenizerBase, cfg: DictConfig) -> None:
    """Give the tokenizer the config's chat template and end token; ChatML where it has no template.

    Raises:
        UserError: the end token is not one token of the vocabulary.
    """
    if cfg.chat_template:
        file = Path(cfg.chat_template)
        text = str(cfg.chat_template)
        tok.chat_template = file.read_text(encoding="utf-8") if len(text) < 250 and file.is_file() else text
    elif not tok.chat_template:
        tok.chat_template = CHATML
    if cfg.eos_token:
        if tok.convert_tokens_to_ids(cfg.eos_token) in (None, tok.unk_token_id):
            raise UserError(f"model.eos_token={cfg.eos_token} is not a token of {tok.name_or_path}")
        tok.eos_token = cfg.eos_token


def check_prompts(
    model: PreTrainedModel, tok: PreTrainedTokenizerBase, prompts: Sequence[list[dict[str, str]]], new_tokens: int
) -> None:
    """Refuse prompts that leave no room for `new_tokens` in the model's context.

    Only prompts with that many bytes are tokenized: no token is shorter than a byte.

    Raises:
        DataError: with how many there are and the longest.
    """
    room = getattr(model.config, "max_position_embeddings", None)
    if room is None:
        return
    texts = (str(tok.apply_chat_template(item, tokenize=False, add_generation_prompt=True)) for item in prompts)
    long = [text for text in texts if len(text.encode("utf-8", "replace")) + new_tokens > room]
    lengths = [len(ids) for ids in tok(long, add_special_tokens=False)["input_ids"]] if long else []
    over = [length for length in lengths if length + new_tokens > room]
    if over:
        raise DataError(
            f"{len(over)} of {len(prompts)} prompts leave no room for {new_tokens} new tokens in the model's context "
            f"of {room}: the longest has {max(over)} tokens\n"
            "    fix      leave those rows out, or ask for shorter completions"
        )


def fingerprint(model: PreTrainedModel) -> str:
    """A hash of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def facts(model: PreTrainedModel, cfg: DictConfig) -> dict[str, Any]:
    """What the manifest says of the model."""
    return {
        "name": cfg.name,
        "revision": cfg.revision,
        "source": cfg.path or cfg.repo or "built",
        "parameters": sum(item.numel() for item in model.parameters()),
        "fingerprint": fingerprint(model),
    }
