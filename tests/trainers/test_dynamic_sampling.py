"""Dynamic sampling against what a reader can work out from the completions and rewards that it kept."""

from __future__ import annotations

import json

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig

from r1lab.errors import RunError
from r1lab.runs.folder import RunFolder
from r1lab.trainers.dynamic_sampling import _same_width, flat_groups
from r1lab.trainers.grpo import GRPO

GROUP, GROUPS = 4, 4


def spread(completions, prompts, **_):
    """Differs within a group where the prompt is even; the same for all completions of an odd one."""
    lengths = [len(item[-1]["content"]) for item in completions]
    texts = [prompt[-1]["content"] for prompt in prompts]
    pairs = enumerate(zip(lengths, texts, strict=True))
    return [float(length + i % 2) if int(text) % 2 == 0 else 1.0 for i, (length, text) in pairs]


def make(new_model, tok, settings, tmp_path, resample, rows=range(40), **changes):
    arguments = settings(
        per_device_train_batch_size=GROUP * GROUPS,
        num_generations=GROUP,
        max_completion_length=6,
        max_steps=2,
        logging_steps=1,
        save_strategy="no",
        seed=3,
        scale_rewards="none",
        **changes,
    )
    data = Dataset.from_list([{"prompt": [{"role": "user", "content": str(i)}]} for i in rows])
    return GRPO(
        model=new_model(),
        args=GRPOConfig(**arguments),
        train_dataset=data,
        processing_class=tok,
        reward_funcs=[spread],
        folder=RunFolder(tmp_path / "run"),
        resample=resample,
    )


def generate(trainer, numbers):
    inputs = [{"prompt": [{"role": "user", "content": str(n)}]} for n in numbers for _ in range(GROUP)]
    trainer.model.train()
    return inputs, trainer._generate_and_score_completions(inputs)


def numbers_of(rows):
    return [int(row["prompt"][-1]["content"]) for row in rows[::GROUP]]


def test_flat_groups_make_way_for_others(new_model, tok, settings, tmp_path):
    trainer = make(new_model, tok, settings, tmp_path, resample=20)
    inputs, output = generate(trainer, [2, 1, 4, 3])
    numbers = numbers_of(inputs)
    assert numbers[0] == 2 and numbers[2] == 4
    assert all(n % 2 == 0 for n in numbers) and len(set(numbers)) == GROUPS
    assert flat_groups(output["advantages"], GROUP) == []
    logs = trainer._logs
    prompts = [int(item[-1]["content"]) for item in logs["prompt"]]
    assert prompts == [n for n in numbers for _ in range(GROUP)]
    decoded = tok.batch_decode(output["prompt_ids"], skip_special_tokens=True)
    assert all(str(n) in text for n, text in zip(prompts, decoded, strict=True))
    rewards = torch.tensor(list(logs["rewards"]["spread"])).view(-1, GROUP)
    expected = (rewards - rewards.mean(1, keepdim=True)).view(-1)
    assert torch.allclose(output["advantages"], expected, atol=1e-5)
    assert torch.allclose(torch.tensor(list(logs["advantages"])), expected, atol=1e-5)
    texts = tok.batch_decode(
        [row[mask.bool()] for row, mask in zip(output["completion_ids"], output["completion_mask"], strict=True)],
        skip_special_tokens=True,
    )
    assert texts == [item[-1]["content"] for item in logs["completion"]]
    assert int(output["num_items_in_batch"]) == int(output["completion_mask"].sum())


def test_metrics_are_of_the_prompts_drawn_first(new_model, tok, settings, tmp_path):
    without = make(new_model, tok, settings, tmp_path, resample=0)
    torch.manual_seed(5)
    generate(without, [2, 1, 4, 3])
    with_ = make(new_model, tok, settings, tmp_path, resample=20)
    torch.manual_seed(5)
    generate(with_, [2, 1, 4, 3])
    first, second = without._metrics["train"], with_._metrics["train"]
    for name in ("reward", "rewards/spread/mean", "frac_reward_zero_std", "completions/mean_length"):
        assert first[name] == second[name]
    assert second["frac_reward_zero_std"] == [0.5]
    assert second["dynamic_sampling/replaced"] == [0.5]
    assert second["dynamic_sampling/left"] == [0.0]
    assert second["dynamic_sampling/extra"][0] >= 0.5
    assert "dynamic_sampling/replaced" not in first
    assert second["num_tokens"] > first["num_tokens"]  # what was generated was generated


def test_the_rounds_are_bounded(new_model, tok, settings, tmp_path):
    trainer = make(new_model, tok, settings, tmp_path, resample=2, rows=range(1, 41, 2))  # odd ones only
    inputs, output = generate(trainer, [1, 3, 5, 7])
    assert numbers_of(inputs) == [1, 3, 5, 7]
    assert not output["advantages"].any()
    assert trainer._metrics["train"]["dynamic_sampling/left"] == [1.0]
    assert trainer._metrics["train"]["dynamic_sampling/extra"] == [2.0]


def test_the_same_step_draws_the_same_rows(new_model, tok, settings, tmp_path):
    trainer = make(new_model, tok, settings, tmp_path, resample=1)
    rows = [{"prompt": [{"role": "user", "content": "2"}]}]
    first = trainer._other_rows(rows, 5, 0)
    assert first == trainer._other_rows(rows, 5, 0)
    assert first != trainer._other_rows(rows, 5, 1)
    assert len({row["prompt"][0]["content"] for row in first} - {"2"}) == 5
    trainer._step += 1
    assert first != trainer._other_rows(rows, 5, 0)
    assert len(trainer._other_rows(rows, 60, 0)) == 60  # more than there are


def test_a_run_trains_and_keeps_what_it_trained_on(new_model, tok, settings, tmp_path):
    trainer = make(new_model, tok, settings, tmp_path, resample=20)
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "run" / "completions" / "train.jsonl").read_text().splitlines()]
    assert {line["step"] for line in lines} == {1, 2}
    assert all(int(line["prompt"]) % 2 == 0 for line in lines)
    assert any(line["advantage"] for line in lines)


def test_torn_groups_are_refused(new_model, tok, settings, tmp_path):
    trainer = make(new_model, tok, settings, tmp_path, resample=1)
    trainer.num_generations = 3
    trainer.model.train()
    rows = [{"prompt": [{"role": "user", "content": "2"}]}] * 4
    with pytest.raises((RunError, RuntimeError)):
        trainer._generate_and_score_completions(rows)


def test_widths_are_made_equal_on_the_side_of_the_padding():
    narrow, wide = torch.tensor([[1, 2]]), torch.tensor([[3, 4, 5]])
    assert [item.tolist() for item in _same_width(narrow, wide, left=True)] == [[[0, 1, 2]], [[3, 4, 5]]]
    assert [item.tolist() for item in _same_width(wide, narrow, left=False)] == [[[3, 4, 5]], [[1, 2, 0]]]


def test_flat_groups():
    assert flat_groups(torch.tensor([0.0, 0.0, 1.0, -1.0, 0.0, 0.0]), 2) == [0, 2]
