"""Small models of the families that the project trains, with their special tokens and the templates published for them.

The templates are read from the installed trl, which ships those of the published tokenizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import trl
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast

PUBLISHED = Path(trl.__file__).parent / "chat_templates"
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
THINK = ("<think>", "</think>")


@dataclass(frozen=True)
class Family:
    """What tells one family's tokenizer from another's.

    Attributes:
        type: transformers' model_type.
        special: special tokens, the first ids.
        ordinary: added tokens that decoding keeps.
        eos, pad, bos: as published.
        template: a file among trl's, without its ending.
        ends: what the published generation config declares.
    """

    type: str
    special: tuple[str, ...]
    eos: str
    pad: str | None
    ordinary: tuple[str, ...] = ()
    bos: str | None = None
    template: str | None = None
    ends: tuple[str, ...] = ()


QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
FAMILIES = {
    "qwen2.5 base": Family("qwen2", QWEN, QWEN[0], QWEN[0], template="qwen2_5", ends=(QWEN[0],)),
    "qwen2.5 instruct": Family("qwen2", QWEN, QWEN[2], QWEN[0], template="qwen2_5", ends=(QWEN[2], QWEN[0])),
    "qwen3 base": Family("qwen3", QWEN, QWEN[0], QWEN[0], THINK, template="qwen3", ends=(QWEN[0],)),
    "llama base": Family("llama", LLAMA, LLAMA[1], None, bos=LLAMA[0], ends=(LLAMA[1],)),
    "llama instruct": Family("llama", LLAMA, LLAMA[4], None, bos=LLAMA[0], template="llama3_2", ends=LLAMA[1:2]),
    "deepseek distill": Family(
        "qwen2", (BOS, EOS), EOS, EOS, ("<｜User｜>", "<｜Assistant｜>", *THINK), BOS, "deepseek_r1_distill", (EOS,)
    ),
}


def tokenizer(family: Family) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with a family's tokens and template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*family.special, *alphabet])}
    tok = Tokenizer(models.BPE(vocabulary, []))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.special])
    tok.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.ordinary])
    template = (PUBLISHED / f"{family.template}.jinja").read_text(encoding="utf-8") if family.template else None
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, eos_token=family.eos, pad_token=family.pad, bos_token=family.bos, chat_template=template
    )


def save(name: str, folder: Path) -> Path:
    """Save a small model of a family with its tokenizer, as its repository would hold them."""
    family, tok = FAMILIES[name], tokenizer(FAMILIES[name])
    config = AutoConfig.for_model(
        family.type,
        vocab_size=len(tok),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    ends = [tok.convert_tokens_to_ids(token) for token in family.ends]
    model.generation_config = GenerationConfig(eos_token_id=ends, bos_token_id=tok.bos_token_id)
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder
