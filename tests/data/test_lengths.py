"""Rows that are too long are counted and said, and dealt with as the config asks."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset
from omegaconf import OmegaConf
from transformers import PreTrainedTokenizerFast

from r1lab.data.lengths import fit_conversations, fit_prompts, lengths
from r1lab.data.loading import conversations
from r1lab.data.splits import Splits
from r1lab.errors import DataError
from r1lab.models.tiny import tokenizer

# By the tiny model's tokenizer a prompt of n letters is n + 5 tokens with its template: the start, "user\n" and the end
# with its line break, then the start and "assistant\n". An answer of m letters adds m + 2, its end and line break.
FRAME, END = 6, 2


@pytest.fixture(scope="module")
def tok() -> PreTrainedTokenizerFast:
    return tokenizer()


def node(**words: Any) -> Any:
    return OmegaConf.create({"max_prompt_tokens": None, "max_tokens": None, "too_long": None, **words})


def prompts(*sizes: int) -> Dataset:
    return Dataset.from_list([{"prompt": [{"role": "user", "content": "x" * size}]} for size in sizes])


def pairs(*sizes: tuple[int, int]) -> Dataset:
    rows = Dataset.from_list(
        [
            {"messages": [{"role": "user", "content": "x" * a}, {"role": "assistant", "content": "y" * b}]}
            for a, b in sizes
        ]
    )
    return conversations(rows)


def test_the_frame_is_as_long_as_these_tests_take_it_to_be(tok: PreTrainedTokenizerFast) -> None:
    (turns,) = prompts(10)["prompt"]
    text = tok.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert len(tok(text, add_special_tokens=False)["input_ids"]) == 10 + FRAME
    text = tok.apply_chat_template([*turns, {"role": "assistant", "content": "y" * 7}], tokenize=False)
    assert len(tok(text, add_special_tokens=False)["input_ids"]) == 10 + FRAME + 7 + END


def test_only_what_may_be_too_long_is_counted(tok: PreTrainedTokenizerFast) -> None:
    texts = ["x" * size for size in (*range(290), 1000)]
    assert list(lengths(texts, tok, 288)) == [0] * 289 + [289, 1000]
    assert list(lengths(["<think>" * 10], tok, 10)) == [0]  # more bytes than the limit, not more tokens


def test_prompts_without_room_are_refused_or_left_out(
    tok: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = Splits(prompts(10, 200, 50, 44), prompts(10, 60))
    with pytest.raises(DataError) as caught:
        fit_prompts(splits, tok, 100, (50, 50), node())
    assert str(caught.value) == (
        "2 of 4 prompts leave no room for 50 new tokens in the model's context of 100: the longest has 206 tokens, "
        f"and begins '{'x' * 60}…'\n"
        "    fix      dataset.too_long=drop leaves those rows out; or ask for shorter completions"
    )
    assert capsys.readouterr().out == ""
    fitted = fit_prompts(splits, tok, 100, (50, 50), node(too_long="drop"))
    assert [len(row[0]["content"]) for row in fitted.train["prompt"]] == [10, 44]  # 44 + 6 + 50 is 100
    assert [len(row[0]["content"]) for row in fitted.test["prompt"]] == [10]
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" leave")[0] for line in told] == ["data: 2 of 4 prompts", "data: 1 of 2 held-out prompts"]
    assert all(line.endswith("those rows are left out") for line in told)
    assert len(fit_prompts(splits, tok, 100, (10, 0), node(too_long="drop")).test) == 2  # nothing is evaluated
    assert len(fit_prompts(splits, tok, None, (50, 50), node()).train) == 4  # a context that nobody knows


def test_a_limit_of_ones_own_leaves_rows_out(tok: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]) -> None:
    splits = Splits(prompts(10, 20, 30), prompts(5))
    fitted = fit_prompts(splits, tok, 1000, (50, 50), node(max_prompt_tokens=26))
    assert len(fitted.train) == 2
    said = "data: 1 of 3 prompts are longer than dataset.max_prompt_tokens=26: the longest has 36 tokens"
    assert capsys.readouterr().out == f"{said}; those rows are left out\n"
    with pytest.raises(DataError, match=r"1 of 3 prompts are longer than dataset\.max_prompt_tokens=26"):
        fit_prompts(splits, tok, 1000, (50, 50), node(max_prompt_tokens=26, too_long="refuse"))
    with pytest.raises(DataError, match="leaving them out would leave nothing"):
        fit_prompts(splits, tok, 1000, (50, 50), node(max_prompt_tokens=3))


def test_conversations_are_cut_left_out_or_refused(
    tok: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pairs((10, 10), (10, 60), (60, 5))  # of 28, 78 and 73 tokens
    assert len(fit_conversations(rows, tok, 78, node())) == 3
    assert capsys.readouterr().out == ""
    assert len(fit_conversations(rows, tok, 70, node())) == 3
    cut = "2 of 3 conversations are longer than trainer.max_length=70 (the longest has 78 tokens, 151 in all)"
    assert capsys.readouterr().out == f"data: {cut}: cut at the end\n"
    assert len(fit_conversations(rows, tok, 70, node(too_long="drop"))) == 1
    assert "2 of 3 conversations are longer than trainer.max_length=70: the longest has 78" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"2 of 3 conversations are longer than trainer\.max_length=70"):
        fit_conversations(rows, tok, 70, node(too_long="refuse"))
    assert len(fit_conversations(rows, tok, 1000, node(max_tokens=73))) == 2
    assert "1 of 3 conversations are longer than dataset.max_tokens=73" in capsys.readouterr().out
    assert len(fit_conversations(rows, tok, 70, node(), splits=True)) == 3
    assert capsys.readouterr().out.endswith("carried over into other sequences\n")


def test_a_prompt_that_fills_the_sequence_leaves_nothing_to_train_on(
    tok: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pairs((10, 10), (60, 5))
    fitted = fit_conversations(rows, tok, 66, node())
    assert [len(row[0]["content"]) for row in fitted["prompt"]] == [10]
    said = "data: 1 of 2 prompts leave no token for their completion within trainer.max_length=66: the longest has 66"
    assert capsys.readouterr().out.startswith(said)
    assert len(fit_conversations(rows, tok, 67, node())) == 2


def test_text_is_counted_with_its_end(tok: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]) -> None:
    rows = Dataset.from_list([{"text": "x" * 9}, {"text": "x" * 10}])
    assert len(fit_conversations(rows, tok, 10, node(too_long="drop"))) == 1
    assert "the longest has 11 tokens" in capsys.readouterr().out
