"""The tokenizer of a run: its chat template, the token that ends a turn, and what stops a completion."""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig
from transformers import AddedToken, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from r1lab.config.templates import read_template, unrenderable
from r1lab.errors import ConfigError, UserError
from r1lab.models.source import source, unloadable
from r1lab.models.templates import CHATML
from r1lab.terminal import lengthy

log = logging.getLogger("r1lab")
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
SAID = "42"  # a word that no template writes by itself


def load_tokenizer(cfg: DictConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of a run with the config's chat template, the token that ends a turn, and a padding token.

    Args:
        cfg: the `model` node of a run.

    Raises:
        ConfigError: the chat template cannot be rendered.
        UserError: the Hub or the folder does not give the tokenizer, or the end token is not one of its tokens.
    """
    where = source(cfg)
    try:
        with lengthy(f"loading the tokenizer of model {cfg.name} from {where}"):
            tok: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(where, revision=cfg.revision)
    except (OSError, ValueError) as error:
        raise unloadable(where, error) from error
    set_template(tok, cfg)
    if tok.pad_token is None:
        tok.pad_token = tok.eos_token
    return tok


def set_template(tok: PreTrainedTokenizerBase, cfg: DictConfig) -> None:
    """Give the tokenizer the config's chat template and the end token that goes with it.

    A tokenizer without a template gets ChatML, and ChatML's two tokens where it lacks them. The end token is the
    config's, else the one with which the template ends a turn.

    Raises:
        ConfigError: the template cannot be read or rendered.
        UserError: the end token is not one token of the vocabulary.
    """
    place = f"the template of {tok.name_or_path}"
    if cfg.chat_template:
        tok.chat_template, place = read_template(str(cfg.chat_template))
    elif not tok.chat_template:
        tok.chat_template, place = CHATML, "chatml"
        if missing := [token for token in CHATML_TOKENS if token not in tok.get_vocab()]:
            tok.add_tokens([AddedToken(token, special=True, normalized=False) for token in missing])
            log.info("no chat template: ChatML, with %s added to the vocabulary", " and ".join(missing))
    try:
        ending = end_of_turn(tok)
    except ConfigError:
        raise
    except Exception as error:  # whatever Jinja raises, and what a template raises by itself
        raise unrenderable(error, place) from error
    wanted = cfg.eos_token or ending
    if not wanted or wanted == tok.eos_token:
        return
    if tok.convert_tokens_to_ids(wanted) in (None, tok.unk_token_id):
        raise UserError(f"model.eos_token={wanted} is not a token of {tok.name_or_path}")
    log.info("end token: %s in place of %s", wanted, tok.eos_token)
    tok.eos_token = wanted


def turn(tok: PreTrainedTokenizerBase, said: str = SAID, asked: str = "?") -> tuple[str, str]:
    """What the template makes of a question, and what it puts behind that for an answer; the prompt is as for sampling.

    Where the template renders the prompt otherwise once there is an answer, the answer begins where the texts part.
    """
    talk = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    prompt = str(tok.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True))
    whole = str(tok.apply_chat_template(talk, tokenize=False))
    shared = next(
        (i for i, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), min(len(prompt), len(whole))
    )
    return prompt, whole[shared:]


def closing(tok: PreTrainedTokenizerBase) -> str:
    """The text with which the template ends an answer; "" where it writes nothing, or not the answer."""
    return turn(tok)[1].rpartition(SAID)[2].strip()


def end_of_turn(tok: PreTrainedTokenizerBase) -> str | None:
    """The token with which the template ends an answer; None where that is no token of its own."""
    text = closing(tok)
    ids = tok.encode(text, add_special_tokens=False) if text else []
    if not ids or ids[0] not in tok.added_tokens_decoder:
        return None
    token = tok.convert_ids_to_tokens(ids[0])
    return token if isinstance(token, str) and text.startswith(token) else None


def set_ends(model: PreTrainedModel, tok: PreTrainedTokenizerBase) -> None:
    """Have generation stop at the end token, at the template's end of a turn, and at what the model declares itself."""
    declared = [getattr(item, "eos_token_id", None) for item in (model.generation_config, model.config)]
    last = end_of_turn(tok)
    ends: list[Any] = [tok.eos_token_id, tok.convert_tokens_to_ids(last) if last else None]
    for item in declared:
        ends += item if isinstance(item, list) else [item]
    ordered = list(dict.fromkeys(token for token in ends if token is not None))
    assert model.generation_config is not None
    model.generation_config.eos_token_id = ordered[0] if len(ordered) == 1 else ordered
    model.generation_config.pad_token_id = tok.pad_token_id
