"""The model and the tokenizer of a run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from r1lab.config.packages import choose_attention
from r1lab.errors import DataError
from r1lab.models.adapters import merged
from r1lab.models.rope import set_rope
from r1lab.models.source import base_of, is_adapter, source, unloadable
from r1lab.models.tokens import load_tokenizer, set_ends
from r1lab.terminal import lengthy

log = logging.getLogger("r1lab")
ROWS = 64  # a grown vocabulary is rounded up to a multiple of this


def load(
    cfg: DictConfig, device: str, quantisation: Mapping[str, Any] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model of a run and its tokenizer.

    Args:
        cfg: the `model` node of a run.
        device: "cpu" or "cuda".
        quantisation: parameters of transformers.BitsAndBytesConfig; weights in 16 or 32 bits without them.

    Raises:
        UserError: the Hub or the folder does not give it.
    """
    tok = load_tokenizer(cfg)
    return load_model(cfg, device, tok, quantisation), tok


def load_model(
    cfg: DictConfig,
    device: str,
    tok: PreTrainedTokenizerBase,
    quantisation: Mapping[str, Any] | None = None,
    *,
    move: bool = True,
) -> PreTrainedModel:
    """The weights of a run on its device, with its attention, its rotary embeddings and the tokenizer's ends.

    An adapter's folder gives its model with the adapter merged into it. A vocabulary that the tokenizer has outgrown
    gets rows drawn around the mean of the others, the same ones every time. Without `move` the weights are left where
    they were loaded, for a wrapper to spread.
    """
    where = source(cfg)
    base = base_of(Path(where), cfg) if is_adapter(where) else where
    attention, reason = choose_attention(cfg.attention, cfg.dtype, device)
    log.info("attention: %s (%s)", attention, reason)
    options: dict[str, Any] = {"use_kernels": True} if cfg.kernels else {}
    try:
        if quantisation:
            options["quantization_config"] = BitsAndBytesConfig(**quantisation)
            options["device_map"] = {"": torch.device(device)}
        with lengthy(f"loading model {cfg.name} from {base}"):
            config = AutoConfig.from_pretrained(base, revision=cfg.revision)
            set_rope(config, cfg)
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                base,
                config=config,
                revision=cfg.revision,
                dtype=getattr(torch, cfg.dtype),
                attn_implementation=attention,
                **options,
            )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise unloadable(base, error) from error
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, torch.nn.Embedding)
    if len(tok) > embeddings.num_embeddings:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model.resize_token_embeddings(len(tok), pad_to_multiple_of=ROWS)
    if base != where:
        model = merged(model, Path(where))
    set_ends(model, tok)
    if not quantisation and move:
        with lengthy(f"moving model {cfg.name} to {device}"):
            model.to(torch.device(device))  # type: ignore[arg-type]
    return model


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
    """A hash of the weights; every process has to ask for it where they are spread."""
    digest = hashlib.sha256()
    with lengthy("taking the fingerprint of the weights"):
        for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
            digest.update(name.encode())
            with gathered(tensor):
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def gathered(weight: torch.Tensor) -> AbstractContextManager[Any]:
    """One weight that DeepSpeed has spread over the processes, whole for a while."""
    if not hasattr(weight, "ds_id"):
        return nullcontext()
    whole: AbstractContextManager[Any] = import_module("deepspeed").zero.GatheredParameters([weight])
    return whole


def count(weight: torch.Tensor) -> int:
    """The numbers in a weight, those of other processes included."""
    return int(getattr(weight, "ds_numel", weight.numel()))


def facts(model: PreTrainedModel, cfg: DictConfig) -> dict[str, Any]:
    """What the manifest says of the model."""
    return {
        "name": cfg.name,
        "revision": cfg.revision,
        "source": cfg.path or cfg.repo or "built",
        "attention": model.config._attn_implementation,
        "parameters": sum(count(item) for item in model.parameters()),
        "trained": sum(count(item) for item in model.parameters() if item.requires_grad),
        "fingerprint": fingerprint(model),
    }
