"""What SFT is trained on: conversations, completions, text; system prompts; and the rows that are refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from omegaconf import DictConfig
from trl import SFTConfig

from r1lab.data.loading import conversations, load, require
from r1lab.data.splits import Splits
from r1lab.data.turns import before_the_answer, up_to_the_answer, with_system
from r1lab.errors import DataError
from r1lab.notebook import compose
from r1lab.trainers.sft import SFT


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


user, assistant, system = (partial(turn, role) for role in ("user", "assistant", "system"))


def config(path: Path, rows: list[dict[str, Any]], **words: Any) -> DictConfig:
    """The dataset node of rows in a file."""
    (path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    node = compose("dataset=local", f"dataset.path={path / 'x.jsonl'}", "dataset.test=0").dataset
    for name, value in words.items():
        node[name] = value
    return node


def test_the_forms(tmp_path: Path) -> None:
    pair = {"prompt": [user("1 + 1?")], "completion": [assistant("2")]}
    row = {"problem": "1 + 1?", "answer": 2, "said": "2", "talk": [user("1 + 1?"), assistant("2")], "page": "One."}
    for words in ({}, {"completion": "said"}, {"messages": "talk"}):
        rows = load(config(tmp_path, [row], **words), "sft").train
        assert conversations(rows).to_list() == [pair]
        assert conversations(rows, "whole").to_list() == [{"messages": [user("1 + 1?"), assistant("2")]}]
    rows = load(config(tmp_path, [row], text="page"), "sft").train
    assert conversations(rows, "text").to_list() == [{"text": "One."}]
    row["said"] = [assistant("2")]
    assert conversations(load(config(tmp_path, [row], completion="said"), "sft").train).to_list() == [pair]


def test_the_last_answer_of_many_and_what_comes_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [user("a"), assistant("b"), user("c"), assistant("d")]
    rows = load(config(tmp_path, [{"talk": [*turns, user("e")]}], messages="talk", prompt=None), "sft").train
    assert conversations(rows).to_list() == [{"prompt": turns[:3], "completion": turns[3:]}]
    assert conversations(rows, "whole").to_list() == [{"messages": turns}]
    assert rows["prompt"] == [turns[:3]]  # what a held-out row is completed from
    assert (
        "data: 1 conversation cut after the last assistant's turn, which is not the last one" in capsys.readouterr().out
    )


def test_rewards_are_given_prompts_that_only_the_conversations_hold(tmp_path: Path) -> None:
    rows = load(
        config(tmp_path, [{"talk": [system("s"), user("a"), assistant("b")]}], messages="talk", prompt=None)
    ).train
    assert rows["prompt"] == [[system("s"), user("a")]]


@pytest.mark.parametrize("how", ["keep", "replace"])
def test_a_system_prompt_beside_a_rows_own(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"problem": [system("own"), user("a")], "talk": [system("own"), user("a"), assistant("b")]},
        {"problem": [user("a")], "talk": [user("a"), assistant("b")]},
    ]
    cfg = config(tmp_path, rows, messages="talk", system_prompt="given", own_system=how)
    first, second = load(cfg, "sft").train
    kept = "own" if how == "keep" else "given"
    assert first["prompt"] == [system(kept), user("a")] and second["prompt"] == [system("given"), user("a")]
    assert first["messages"] == [system(kept), user("a"), assistant("b")]
    assert second["messages"] == [system("given"), user("a"), assistant("b")]
    what = "kept (dataset.own_system=keep)" if how == "keep" else "replaced by dataset.system_prompt"
    assert f"data: 1 row with a system prompt of their own: {what}" in capsys.readouterr().out


def test_turns() -> None:
    turns = [user("a"), assistant("b"), user("c")]
    assert up_to_the_answer(turns) == turns[:2] and before_the_answer(turns) == turns[:1]
    assert with_system(turns, None) == turns and with_system([], "s") == [system("s")]


@pytest.mark.parametrize(
    ("row", "words", "message"),
    [
        ({"problem": "a", "answer": None}, {}, r"x\.jsonl:1 has no completion \(column answer is null\)"),
        ({"problem": "a", "said": " "}, {"completion": "said"}, r"x\.jsonl:1 has an empty completion \(column said\)"),
        (
            {"problem": "a", "said": 5},
            {"completion": "said"},
            r"x\.jsonl:1 has a number where its completion should be",
        ),
        ({"talk": [turn("user", "a")]}, {"messages": "talk"}, r"x\.jsonl:1 has a conversation without an assistant's"),
        ({"page": ""}, {"text": "page"}, r"x\.jsonl:1 has an empty text \(column page\)"),
        ({"problem": "a"}, {"text": "page"}, r"dataset\.text=page: dataset local has no such column"),
        ({"problem": "a"}, {}, r"dataset\.answer=answer: dataset local has no such column"),
    ],
)
def test_rows_that_cannot_be_trained_on(
    row: dict[str, Any], words: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load(config(tmp_path, [row], **words), "sft")


def test_rows_of_a_loader_that_looks_at_no_file_are_told_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Dataset.from_list([{"problem": "a", "answer": "1"}, {"problem": " ", "answer": "1"}])
    monkeypatch.setattr("r1lab.data.hub.load", lambda **_: Splits(rows, rows.select([])))
    with pytest.raises(DataError, match=r"dataset hub, row 2, has an empty prompt \(column problem\)"):
        load(compose("dataset=hub", "dataset.repo=a/b").dataset)


def test_a_column_that_a_reward_reads_is_missed_before_training() -> None:
    class Reads:
        __name__ = "level"
        needs: list[str] = ["completion_ids", "level"]  # noqa: RUF012 - a stand-in

    splits = Splits(Dataset.from_list([{"problem": "a", "levels": 1}]), Dataset.from_list([]))
    with pytest.raises(DataError, match="reward level reads column 'level', which dataset x lacks"):
        require(splits, [Reads()], "x")
    Reads.needs = ["solution"]
    with pytest.raises(DataError, match="reward level compares with the answer, and dataset x has none"):
        require(splits, [Reads()], "x")
    Reads.needs = ["levels"]
    require(splits, [Reads()], "x")


@pytest.fixture
def trained(small: tuple[str, ...], tmp_path: Path) -> Any:
    """The texts that TRL puts a loss on, for rows of a form."""
    from r1lab.models.loading import load as load_model

    model, tok = load_model(compose(*small).model, "cpu")

    def texts(rows: Dataset, template: str | None = None, **fields: Any) -> list[str]:
        tok.chat_template = template or tok.chat_template
        args = SFTConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", completion_only_loss=True, **fields
        )
        dataset = SFT(model=model, args=args, train_dataset=rows, processing_class=tok).train_dataset
        return [tok.decode([label for label in row["labels"] if label != -100]) for row in dataset]

    return texts


def test_what_trl_puts_a_loss_on(trained: Any) -> None:
    turns = [user("a"), assistant("b"), user("c"), assistant("d")]
    rows = Dataset.from_list([{"messages": turns}])
    assert trained(conversations(rows)) == ["d<|im_end|>\n"]
    assert trained(conversations(Dataset.from_list([{"text": "One."}]), "text")) == ["One.<|im_end|>"]


MARKED = (  # ChatML that says which tokens are the assistant's
    "{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if message['role'] == 'assistant' -%}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{%- else -%}{{ message['content'] + '<|im_end|>\n' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


def test_every_answer_is_trained_on_where_the_trainer_is_told_so(trained: Any) -> None:
    turns = [user("a"), assistant("b"), user("c"), assistant("d")]
    rows = conversations(Dataset.from_list([{"messages": turns}]), "whole")
    assert trained(rows, template=MARKED, assistant_only_loss=True) == ["b<|im_end|>d<|im_end|>"]
