"""Skipped rewards among several: neither paid nor punished, and logged as skipped."""

from __future__ import annotations

import math

import torch
from datasets import Dataset
from trl import GRPOConfig

from r1lab.runs.folder import RunFolder
from r1lab.trainers.grpo import GRPO
from r1lab.trainers.skips import neutral

NAN = float("nan")


def same(found, expected):
    return torch.allclose(found, torch.tensor(expected), equal_nan=True)


def test_a_gap_stands_at_its_groups_mean():
    rewards = torch.tensor([[0.0, NAN], [1.0, 0.5], [0.0, 0.1], [1.0, NAN], [NAN, NAN], [0.0, NAN]])
    expected = [[0.0, 0.5], [1.0, 0.5], [0.0, 0.1], [1.0, 0.1], [NAN, NAN], [0.0, 0.0]]
    assert same(neutral(rewards, 2), expected)


def test_nothing_changes_where_nothing_is_missing():
    rewards = torch.tensor([[0.0, 1.0], [0.5, 0.25]])
    assert torch.equal(neutral(rewards, 2), rewards)


def flat(completions, **_):
    return [0.0] * len(completions)


def gappy(completions, **_):
    return [None if place % 2 else 0.5 for place in range(len(completions))]


def test_a_gap_gives_no_advantage_and_is_kept_as_a_gap(new_model, tok, settings, tmp_path):
    arguments = settings(
        per_device_train_batch_size=8, num_generations=4, max_completion_length=4, max_steps=1, save_strategy="no"
    )
    trainer = GRPO(
        model=new_model(),
        args=GRPOConfig(**arguments),
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": str(i)}]} for i in range(8)]),
        processing_class=tok,
        reward_funcs=[flat, gappy],
        folder=RunFolder(tmp_path / "run"),
    )
    trainer.model.train()
    rows = [{"prompt": [{"role": "user", "content": str(i)}]} for i in range(2) for _ in range(4)]
    output = trainer._generate_and_score_completions(rows)
    assert not output["advantages"].any()
    kept = list(trainer._logs["rewards"]["gappy"])
    assert [math.isnan(value) for value in kept] == [False, True] * 4
    metrics = trainer._metrics["train"]
    assert metrics["rewards/gappy/mean"] == [0.5] and metrics["rewards/gappy/std"] == [0.0]
    assert metrics["frac_reward_zero_std"] == [1.0]
