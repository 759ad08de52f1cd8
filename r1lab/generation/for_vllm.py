"""A model as vLLM takes it: weights as they are saved, the run's tokenizer beside them, the tokens that end a text."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from r1lab.errors import UserError
from r1lab.models.source import source
from r1lab.models.tokens import end_of_turn, load_tokenizer

log = logging.getLogger("r1lab")
SERVER = "server"  # a folder in the run's: the tokenizer, and a started server's log


def for_vllm(model: DictConfig) -> tuple[str, PreTrainedTokenizerBase, list[int]]:
    """Where vLLM finds a model's weights, the run's tokenizer, and the tokens that end a completion.

    Raises:
        UserError: the chat template needs tokens for which the model has no weights.
    """
    where, tokenizer = source(model), load_tokenizer(model)
    try:
        config = AutoConfig.from_pretrained(where, revision=model.revision)
        generation = GenerationConfig.from_model_config(config)
        try:
            generation = GenerationConfig.from_pretrained(where, revision=model.revision)
        except OSError:  # not every model has one
            log.info("%s has no generation config", where)
    except (OSError, ValueError) as error:
        raise UserError(f"model {where} cannot be loaded: {str(error).splitlines()[0]}") from error
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise UserError(
            f"model {where} has no chat template, and no weights for the tokens of ChatML "
            f"({len(tokenizer)} tokens, {rows} rows): vLLM serves it as it is\n"
            "    fix      model.chat_template=FILE.jinja with tokens that it has, or engine=transformers"
        )
    declared = generation.eos_token_id if isinstance(generation.eos_token_id, list) else [generation.eos_token_id]
    last = end_of_turn(tokenizer)
    said = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(last) if last else None, *declared]
    return where, tokenizer, sorted({token for token in said if isinstance(token, int)})


def saved(tokenizer: PreTrainedTokenizerBase, folder: Path) -> str:
    """The folder of a tokenizer with the run's chat template, for a server to read."""
    place = str(folder / SERVER / "tokenizer")
    tokenizer.save_pretrained(place)
    return place
