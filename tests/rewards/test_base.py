"""The wrapper holds a reward to its contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from r1lab.errors import ConfigError, RewardError
from r1lab.notebook import compose
from r1lab.rewards import load
from r1lab.rewards.base import Reward, build, build_all, text_of


def length(completions: list[str]) -> list[float]:
    return [float(len(text)) for text in completions]


def test_plain_and_conversational_completions_score_the_same() -> None:
    reward = Reward("length", length)
    talk = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": "abc"}]]
    assert reward(["abc"]) == reward(talk) == [3.0]
    assert text_of("abc") == text_of(talk[0]) == "abc"


def test_none_is_kept_and_numbers_become_floats() -> None:
    values = [None, 1, True, np.float32(0.5), torch.tensor(2.0)]
    scores = Reward("mixed", lambda completions: values)(["a"] * 5)
    assert scores == [None, 1.0, 1.0, 0.5, 2.0]
    assert [type(score) for score in scores[1:]] == [float] * 4


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1.0], "1 scores for 2"),
        ([1.0] * 3, "3 scores for 2"),
        ([], "0 scores for 2"),
        ([1.0, float("nan")], "nan"),
        ([1.0, float("inf")], "inf"),
        ([1.0, "good"], "no list of numbers"),
        (None, "no list of numbers"),
        (1.0, "no list of numbers"),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(returned: Any, message: str) -> None:
    with pytest.raises(RewardError, match=f"reward broken .*{message}"):
        Reward("broken", lambda completions: returned)(["a", "b"])


def test_a_failing_reward_fails() -> None:
    def failing(completions: list[str]) -> list[float]:
        raise ConnectionError("no sandbox")

    with pytest.raises(RewardError, match="reward failing failed: ConnectionError: no sandbox"):
        Reward("failing", failing)(["a"])


def test_a_reward_gets_the_columns_it_names_and_no_others() -> None:
    seen: dict[str, Any] = {}

    def picky(completions: list[str], solution: list[str], *, level: int = 3) -> list[float]:
        seen.update(solution=solution, level=level)
        return [0.0] * len(completions)

    Reward("picky", picky)(["a"], solution=["b"], level=["a column of that name"], trainer_state=object())
    assert seen == {"solution": ["b"], "level": 3}


def test_a_reward_with_a_catch_all_gets_every_column_but_its_own_parameters() -> None:
    seen: dict[str, Any] = {}

    def greedy(completions: list[str], *, p: float = 0.5, **columns: Any) -> list[float]:
        seen.update(columns, p=p)
        return [0.0] * len(completions)

    Reward("greedy", greedy)(["a"], solution=["b"], p=["x"])
    assert seen == {"solution": ["b"], "p": 0.5}


def test_skips_are_logged_as_a_share() -> None:
    logged: dict[str, float] = {}
    reward = Reward("half", lambda completions: [None, 1.0, None, 0.0])
    reward(["a"] * 4, log_metric=logged.__setitem__)
    assert logged == {"skipped/half": 0.5}


def test_rewards_by_name() -> None:
    assert load("format")(["<think>\n\n</think>\n<answer>\n1\n</answer>", "1"]) == [1.0, 0.0]
    assert load("coin_flip", p=1.0)(["a"] * 5) == [1.0] * 5
    assert load("coin_flip", weight=0.25).weight == 0.25
    accuracy = load("accuracy")
    assert accuracy.__name__ == "accuracy" and accuracy.weight == 1.0
    assert accuracy(["<answer>12</answer>"], solution=["12"]) == [1.0]
    with pytest.raises(ConfigError) as caught:
        load("acuracy")
    assert caught.value.findings[0].nearest == "accuracy"


def test_a_runs_rewards_come_in_its_order_with_its_weights() -> None:
    rewards = build_all(compose("reward=[format,accuracy]", "reward.format.weight=0.2"))
    assert [(item.__name__, item.weight) for item in rewards] == [("format", 0.2), ("accuracy", 1.0)]


class Counting:
    """A reward with a state: each call is worth one more."""

    def __init__(self, start: int = 0):
        self.calls = start

    def __call__(self, completions: list[str]) -> list[float]:
        self.calls += 1
        return [float(self.calls)] * len(completions)

    def state_dict(self) -> dict[str, int]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def test_a_class_is_made_with_its_parameters_and_keeps_its_state() -> None:
    reward = build("counting", OmegaConf.create({"_target_": f"{__name__}.Counting", "start": 4, "weight": 2}))
    assert reward(["a", "b"]) == [5.0, 5.0]
    assert reward.weight == 2.0
    assert reward.function.state_dict() == {"calls": 5}  # type: ignore[attr-defined]
