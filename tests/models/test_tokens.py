"""Templates, ends of turns and labels of each family, through the loading that a run uses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from omegaconf import DictConfig
from trl import SFTConfig

from r1lab.config.templates import own, read_template
from r1lab.errors import ConfigError, UserError
from r1lab.models.loading import load
from r1lab.models.templates import CHATML
from r1lab.models.tokens import closing, end_of_turn, load_tokenizer, turn
from r1lab.notebook import compose
from r1lab.trainers.sft import SFT
from tests.models.families import EOS, FAMILIES, LLAMA, QWEN, save

THOUGHT = "<think>\n2 + 2\n</think>\n<answer>\n4\n</answer>"
TALK = [
    {"role": "system", "content": "Add."},
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "<think>\nold\n</think>\n2"},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": THOUGHT},
]
ENDS = {  # the end token of a run, and what else stops a completion
    "qwen2.5 base": [QWEN[2], QWEN[0]],
    "qwen2.5 instruct": [QWEN[2], QWEN[0]],
    "qwen3 base": [QWEN[2], QWEN[0]],
    "llama base": [QWEN[2], LLAMA[1]],
    "llama instruct": [LLAMA[4], LLAMA[1]],
    "deepseek distill": [EOS],
}


def config(folder: Path, *words: str) -> DictConfig:
    """The `model` node of a run with a saved model."""
    words = ("model=hub", f"model.path={folder}", "model.dtype=float32", "accelerator=cpu", *words)
    return compose(*words, "dataset=arithmetic").model


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_completion_stops_at_the_end_token_and_at_the_end_of_the_turn(family: str, tmp_path: Path) -> None:
    model, tok = load(config(save(family, tmp_path)), "cpu")
    ids = [tok.convert_tokens_to_ids(token) for token in ENDS[family]]
    assert tok.eos_token == ENDS[family][0] == end_of_turn(tok)
    declared = model.generation_config.eos_token_id
    assert declared == (ids if len(ids) > 1 else ids[0])
    with torch.no_grad():  # a model that says nothing but its end
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    prompt = tok.apply_chat_template(TALK[:2], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    for end in ids:
        likeliest = torch.nn.functional.one_hot(torch.tensor(end), len(model.lm_head.weight)).float()
        model.lm_head.bias = torch.nn.Parameter(likeliest)
        said = model.generate(**prompt, max_new_tokens=5, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        assert said.tolist() == [end]


def test_the_end_token_has_a_label_where_it_is_the_padding_too(family: str, tmp_path: Path) -> None:
    """As the run uses TRL: its trainer's own preparation and collator."""
    model, tok = load(config(save(family, tmp_path), *distilled(family)), "cpu")
    tok.pad_token = tok.eos_token
    said = [THOUGHT, THOUGHT.replace("2 + 2", "2 + 2, which is four, I think")]
    rows = [{"prompt": TALK[:2], "completion": [{"role": "assistant", "content": text}]} for text in said]
    args = SFTConfig(
        output_dir=str(tmp_path / "out"),
        use_cpu=True,
        bf16=False,
        report_to="none",
        max_length=1024,
        completion_only_loss=True,
        gradient_checkpointing=False,
    )
    trainer = SFT(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tok)
    batch: Any = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
    for ids, labels, text in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), said, strict=True):
        learnt = [token for token in labels if token != -100]
        assert learnt.count(tok.eos_token_id) == 1
        assert tok.decode(learnt, skip_special_tokens=True).split() == text.split()
        assert labels[ids.index(learnt[0], labels.index(learnt[0]))] == learnt[0]
        padding = ids[len(ids) - ids[::-1].index(learnt[-1]) :]
        assert set(padding) <= {tok.pad_token_id}


def distilled(family: str) -> tuple[str, ...]:
    return ("model.chat_template=deepseek",) if "deepseek" in family else ()


def test_r1labs_template_for_distilled_models(tmp_path: Path) -> None:
    published, tok = (
        load_tokenizer(config(save("deepseek distill", tmp_path), *words)) for words in ((), distilled("deepseek"))
    )
    whole = tok.apply_chat_template(TALK, tokenize=False)
    asked = tok.apply_chat_template(TALK[:-1], tokenize=False, add_generation_prompt=True)
    begin = f"{tok.bos_token}Add.<｜User｜>1 + 1?<｜Assistant｜>2{EOS}<｜User｜>2 + 2?<｜Assistant｜>"
    assert asked == begin and whole == begin + THOUGHT + EOS
    theirs = published.apply_chat_template(TALK[:-1], tokenize=False, add_generation_prompt=True)
    assert (
        theirs.replace("<｜Assistant｜>\n2", "<｜Assistant｜>2") == asked + "<think>\n"
    )  # the same turns, thinking apart
    assert THOUGHT not in published.apply_chat_template(TALK, tokenize=False)
    ids = tok(whole, add_special_tokens=False)["input_ids"]
    assert ids.count(tok.bos_token_id) == 1 and ids.count(tok.eos_token_id) == 2 and ids[-1] == tok.eos_token_id
    with pytest.raises(Exception, match="not tool"):
        tok.apply_chat_template([*TALK, {"role": "tool", "content": "4"}], tokenize=False)


def test_a_model_without_a_template_gets_chatml_and_its_tokens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "r1lab"):
        model, tok = load(config(save("llama base", tmp_path)), "cpu")
    assert tok.chat_template == CHATML
    assert "<|im_start|> and <|im_end|> added to the vocabulary" in caplog.text
    before = len(tok) - 2
    assert tok.convert_tokens_to_ids(list(QWEN[1:])) == [before, before + 1]
    rows = model.get_input_embeddings().weight
    assert len(rows) == model.config.vocab_size == 320 >= len(tok)  # a multiple of 64
    assert rows[before : before + 2].abs().max() > 0
    again = load(config(tmp_path), "cpu")[0].get_input_embeddings().weight
    assert torch.equal(rows, again)
    text = tok.apply_chat_template(TALK[:2], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>system\nAdd.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"
    assert tok(text, add_special_tokens=False)["input_ids"].count(tok.eos_token_id) == 2


def test_a_template_file_and_its_end_token(tmp_path: Path) -> None:
    file = tmp_path / "plain.jinja"
    file.write_text("{% for m in messages %}{{ m['content'] }}<|endoftext|>{% endfor %}")
    words = (f"model.chat_template={file}", "model.eos_token='<|endoftext|>'")
    tok = load_tokenizer(config(save("qwen2.5 base", tmp_path / "model"), *words))
    assert tok.eos_token == closing(tok) == "<|endoftext|>"
    assert turn(tok, "yes", "no?") == ("no?<|endoftext|>", "yes<|endoftext|>")
    with pytest.raises(UserError, match=r"model\.eos_token=<\|stop\|> is not a token"):
        load_tokenizer(config(tmp_path / "model", "model.eos_token='<|stop|>'"))


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("{% for m in messages %}\n{{ m.content }\n{% endfor %}", "unexpected '}'", 2),
        ("a\nb\n{{ messages[0].content.nothing.more }}", "has no attribute 'nothing'", 3),
        ("{% for m in messages %}\n\n{{ raise_exception('no ' + m['role']) }}{% endfor %}", "no user", 3),
        ("{% endfor %}", "unknown tag 'endfor'", 1),
    ],
)
def test_a_template_that_cannot_be_rendered_says_which_line(text: str, message: str, line: int, tmp_path: Path) -> None:
    cfg = config(save("qwen2.5 base", tmp_path / "model"))
    file = tmp_path / "bad.jinja"
    file.write_text(text)
    cfg.chat_template = str(file)
    with pytest.raises(ConfigError) as caught:
        load_tokenizer(cfg)
    (finding,) = caught.value.findings
    assert message in finding.what and finding.where == f"{file}:{line}" and finding.fix


def test_templates_by_name() -> None:
    assert own() == ["chatml", "deepseek"]
    assert read_template("chatml") == (CHATML, "chatml")
    with pytest.raises(ConfigError) as caught:
        read_template("deepsek")
    assert caught.value.findings[0].nearest == "model.chat_template=deepseek"
    with pytest.raises(ConfigError, match=r"there is no file nowhere\.jinja"):
        read_template("nowhere.jinja")
    assert read_template("{% generation %}{{ 1 }}{% endgeneration %}")[0]
