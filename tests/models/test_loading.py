"""What a loaded model must have: an end, a padding and a template, whatever it came with."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from transformers import GPT2Config

from r1lab.errors import UserError
from r1lab.models import tiny
from r1lab.models.loading import facts, fingerprint, load
from r1lab.models.rope import set_rope
from r1lab.models.source import source
from r1lab.models.templates import CHATML
from r1lab.notebook import compose


@pytest.fixture
def cfg(small: tuple[str, ...]) -> DictConfig:
    return compose(*small).model


@pytest.fixture
def saved(cfg: DictConfig, tmp_path: Path) -> Path:
    """The model in a folder of the user's own, without a template or a padding token."""
    model, tok = load(cfg, "cpu")
    model.save_pretrained(tmp_path)
    tok.chat_template = tok.pad_token = None
    tok.save_pretrained(tmp_path)
    return tmp_path


def test_the_built_model(cfg: DictConfig) -> None:
    model, tok = load(cfg, "cpu")
    assert source(cfg) == str(tiny.cached(cfg))
    assert model.dtype == torch.float32 and model.device.type == "cpu"
    assert model.generation_config.eos_token_id == tok.eos_token_id == tok.convert_tokens_to_ids(tiny.END)
    assert model.generation_config.pad_token_id == tok.pad_token_id == tok.convert_tokens_to_ids(tiny.PAD)
    assert facts(model, cfg) == {
        "name": "tiny",
        "revision": None,
        "source": "built",
        "attention": "sdpa",
        "parameters": (count := sum(parameter.numel() for parameter in model.parameters())),
        "trained": count,
        "fingerprint": fingerprint(model),
    }


def test_what_a_model_lacks_is_filled_in(cfg: DictConfig, saved: Path) -> None:
    cfg.path = str(saved)
    model, tok = load(cfg, "cpu")
    assert tok.chat_template == CHATML
    assert tok.pad_token == tok.eos_token and model.generation_config.pad_token_id == tok.pad_token_id


def test_the_configs_template_and_end_token_win(cfg: DictConfig, saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages[0]['content'] }}")
    cfg.path, cfg.chat_template, cfg.eos_token = str(saved), str(file), "<answer>"
    model, tok = load(cfg, "cpu")
    assert tok.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "x"
    assert tok.eos_token == "<answer>"
    assert model.generation_config.eos_token_id == [tok.convert_tokens_to_ids(word) for word in ("<answer>", tiny.END)]
    cfg.chat_template = "{{ 1 + 1 }}"
    assert load(cfg, "cpu")[1].apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "2"


def test_an_end_token_that_is_not_one_is_refused(cfg: DictConfig) -> None:
    cfg.eos_token = "<|stop|>"
    with pytest.raises(UserError, match=r"model\.eos_token=<\|stop\|> is not a token"):
        load(cfg, "cpu")


@pytest.mark.parametrize("broken", ["no folder", "empty folder", "no weights", "torn weights"])
def test_a_model_that_cannot_be_loaded_is_one_message(cfg: DictConfig, saved: Path, broken: str) -> None:
    cfg.path = str(saved)
    if broken == "no folder":
        cfg.path = str(saved / "nowhere")
    elif broken == "empty folder":
        (saved / "empty").mkdir()
        cfg.path = str(saved / "empty")
    elif broken == "no weights":
        (saved / "model.safetensors").unlink()
    else:
        (saved / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        load(cfg, "cpu")
    assert str(cfg.path) in str(caught.value) and "\n" not in str(caught.value)


def test_attention_is_said(saved: Path, cfg: DictConfig, caplog: pytest.LogCaptureFixture) -> None:
    cfg.path, cfg.attention = str(saved), "auto"
    with caplog.at_level(logging.INFO, "r1lab"):
        model, _ = load(cfg, "cpu")
    assert "attention: sdpa (flash_attention_2 does not run on the device cpu)" in caplog.messages
    assert facts(model, cfg)["attention"] == "sdpa"
    cfg.attention = "eager"
    assert load(cfg, "cpu")[0].config._attn_implementation == "eager"
    cfg.attention = "flash_attention_2"
    with pytest.raises(UserError, match="cannot be loaded"):
        load(cfg, "cpu")


def test_a_theta_of_ones_own(saved: Path, cfg: DictConfig, caplog: pytest.LogCaptureFixture) -> None:
    """As open-r1/Qwen2.5-Math-7B-RoPE-300k was made: the base frequency and the context change, the weights do not."""
    cfg.path = str(saved)
    plain: Any = load(cfg, "cpu")[0]
    cfg.rope.theta, cfg.context = 300_000, 32_768
    with caplog.at_level(logging.WARNING, "r1lab"):
        model: Any = load(cfg, "cpu")[0]
    assert "rope_theta 10000.0 → 300000" in caplog.text and "max_position_embeddings 256 → 32768" in caplog.text
    half = 32 // 4 // 2  # a head's frequencies: theta^(-2i/width)
    expected = [300_000 ** (-i / half) for i in range(half)]
    assert model.model.rotary_emb.inv_freq.tolist() == pytest.approx(expected)
    assert plain.model.rotary_emb.inv_freq.tolist() == pytest.approx([10_000 ** (-i / half) for i in range(half)])
    assert fingerprint(model) == fingerprint(plain)
    model.save_pretrained(saved / "again")
    kept = json.loads((saved / "again/config.json").read_text())
    assert kept["rope_parameters"]["rope_theta"] == 300_000 and kept["max_position_embeddings"] == 32_768


def test_a_scaling(saved: Path, cfg: DictConfig) -> None:
    cfg.path, cfg.rope.type, cfg.rope.factor = str(saved), "linear", 4
    model: Any = load(cfg, "cpu")[0]
    half = 32 // 4 // 2
    assert model.model.rotary_emb.inv_freq.tolist() == pytest.approx([10_000 ** (-i / half) / 4 for i in range(half)])
    assert model.config.rope_parameters["rope_type"] == "linear"


def test_what_is_published_is_left_alone(saved: Path, cfg: DictConfig, caplog: pytest.LogCaptureFixture) -> None:
    cfg.path, cfg.rope.theta, cfg.rope.type = str(saved), 10_000, "default"
    with caplog.at_level(logging.WARNING, "r1lab"):
        load(cfg, "cpu")
    assert "rope" not in caplog.text


def test_a_files_facts_do_not_change_what_a_folder_holds(saved: Path) -> None:
    words = (f"model.path={saved}", "model.dtype=float32", "dataset=arithmetic", "accelerator=cpu")
    cfg = compose("model=qwen2.5-math-7b-rope-300k", "model.eos_token=null", *words).model
    assert cfg.published_rope.theta == 300_000
    model: Any = load(cfg, "cpu")[0]
    assert model.config.rope_parameters["rope_theta"] == 10_000 and model.config.max_position_embeddings == 256


def test_rotary_embeddings_for_a_model_that_has_none(cfg: DictConfig) -> None:
    cfg.rope.theta = 1.0
    with pytest.raises(UserError, match="gpt2 has no rotary embeddings"):
        set_rope(GPT2Config(), cfg)


def test_the_fingerprint_is_of_the_weights(cfg: DictConfig) -> None:
    model: Any = load(cfg, "cpu")[0]
    before = fingerprint(model)
    assert before == fingerprint(load(cfg, "cpu")[0])
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-3
    assert fingerprint(model) != before
    assert fingerprint(torch.nn.BatchNorm1d(2)) != before  # has a buffer without dimensions
