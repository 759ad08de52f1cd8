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
from r1lab.rewards.base import Failure, Reward, build, build_all, text_of
from r1lab.rewards.length import cosine


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


def test_skips_and_failures_are_logged_apart_as_shares() -> None:
    logged: dict[str, float] = {}
    reward = Reward("half", lambda completions: [None, 1.0, None, Failure("down"), 0.0])
    assert reward(["a"] * 5, log_metric=logged.__setitem__) == [None, 1.0, None, None, 0.0]
    assert logged == {"skipped/half": 0.4, "infrastructure_failures/half": 0.2}
    assert reward.judge(["a"] * 5) == [None, 1.0, None, Failure("down"), 0.0]


def test_too_many_failures_end_the_run_with_the_most_common_cause() -> None:
    marks = [Failure("refused"), Failure("timed out"), Failure("refused"), 1.0]
    logged: dict[str, float] = {}
    with pytest.raises(RewardError) as caught:
        Reward("boxed", lambda completions: marks)(["a"] * 4, log_metric=logged.__setitem__)
    said = str(caught.value)
    assert said.startswith("reward boxed: 75% of 4 completions could not be judged because the machinery failed")
    assert "(at most 50% may); the most common cause (2×): refused" in said
    assert "resume=FOLDER" in said and "reward.boxed.max_failures=SHARE" in said
    assert logged == {"skipped/boxed": 0.0, "infrastructure_failures/boxed": 0.75}
    assert Reward("boxed", lambda completions: marks, max_failures=0.75)(["a"] * 4) == [None, None, None, 1.0]
    with pytest.raises(RewardError, match="33% of 3 completions"):
        Reward("boxed", lambda completions: [*marks[:1], 1.0, None], max_failures=0.0)(["a"] * 3)


def test_a_column_that_is_missing_or_too_short_is_named() -> None:
    with pytest.raises(RewardError, match=r"reward accuracy reads column 'solution', .*: pass solution=\[…\]"):
        load("accuracy")(["a"])
    with pytest.raises(RewardError, match="reward accuracy: column 'solution' has 1 value for 2 completions"):
        load("accuracy")(["a", "b"], solution=["1"])
    with pytest.raises(RewardError, match="takes a list of completions, not one text"):
        load("format")("abc")


def test_optional_columns_are_handed_on_where_they_are() -> None:
    seen: list[Any] = []

    def curious(completions: list[str], prompts: list[str] | None = None, *, most: int = 3) -> list[float]:
        seen.append(prompts)
        return [0.0] * len(completions)

    reward = Reward("curious", curious)
    reward(["a"])
    reward(["a"], prompts=["p"], most=["a column of that name"])
    assert seen == [None, ["p"]]


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


def test_a_word_that_no_reward_knows_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load("cosine", max_length=100)
    (finding,) = caught.value.findings
    assert finding.what == "reward cosine has no parameter 'max_length' (r1lab.rewards.length.cosine)"
    assert finding.nearest == "max_len"
    with pytest.raises(ConfigError, match="code_format has no parameter 'langauge'"):
        load("code_format", langauge="cpp")
    with pytest.raises(ConfigError, match="reward weighted_sum needs parameter 'parts'"):
        load("weighted_sum")
    with pytest.raises(ConfigError, match="no parameter 'solution'"):
        load("accuracy", solution=["1"])  # a column is no parameter


def test_gold_answers_by_hand_may_be_numbers() -> None:
    talk = [[{"role": "assistant", "content": r"\boxed{12}"}]]
    for solution in (12, 12.0, "12", "$12$"):
        assert load("accuracy")(talk, solution=[solution]) == [1.0]
        assert load("exact")(talk, solution=[solution]) == [1.0]
        assert load("length")(talk, solution=[solution]) == [0.0]
    assert load("cosine", max_len=20)(talk, solution=[12]) == cosine([r"\boxed{12}"], [12], max_len=20)


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


@pytest.mark.parametrize("parameters", [{"max_failures": -1}, {"max_failures": 2}, {"weight": "x"}, {"weight": None}])
def test_numbers_that_are_none_are_told(parameters) -> None:
    with pytest.raises(ConfigError, match="is not a"):
        load("format", **parameters)
