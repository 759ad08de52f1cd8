"""Rewards made of rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import ConfigError
from r1lab.rewards import Failure, load

FORMED = "<think>\nx\n</think>\n<answer>\n%s\n</answer>"
TEXTS = [FORMED % "5", FORMED % "6", "<answer>5</answer>", "6"]


def failing(completions: list[str], *, share: float = 0.5) -> list[float | Failure]:
    """Fails for the first ones."""
    return [Failure("down") if place < share * len(completions) else 1.0 for place in range(len(completions))]


FAILING = {"failing": {"_target_": f"{__name__}.failing", "share": 0.5}}


def test_weighted_sum() -> None:
    both = load("weighted_sum", parts={"accuracy": 1.0, "format": 0.2})
    assert both(TEXTS, solution=["5"] * 4) == [1.2, 0.2, 1.0, 0.0]
    assert both(TEXTS[:2], solution=["5", None]) == [1.2, None]  # one part that skips leaves no sum
    longer = load("weighted_sum", parts={"cosine": {"weight": 2.0, "max_len": 1}, "tag_count": -1})
    assert longer([FORMED % "5", "<answer>5</answer>"], solution=[5, 5]) == [0.0, 1.0]
    failed = load("weighted_sum", parts={"format": 1.0, **FAILING})
    assert failed.judge(TEXTS[:2]) == [Failure("down"), 1.0 + 1.0]


def test_gate() -> None:
    assert load("gate")(TEXTS, solution=["5"] * 4) == [1.0, 0.0, 0.0, 0.0]
    assert load("gate", otherwise=-1.0)(TEXTS, solution=["5"] * 4) == [1.0, 0.0, -1.0, -1.0]
    half = load("gate", first="tag_count", then={"cosine": {"max_len": 1}}, at_least=0.0)
    assert half(TEXTS, solution=["5"] * 4) == [0.5, -0.5, 0.5, -0.5]
    assert load("gate", first="accuracy", then="format")(TEXTS, solution=["5", None, "5", "5"]) == [1.0, None, 0.0, 0.0]
    assert load("gate", first=FAILING, then="format").judge(TEXTS) == [Failure("down")] * 2 + [0.0, 0.0]


def test_the_second_reward_sees_only_what_passes() -> None:
    texts = [FORMED % "5", "x" * 500, FORMED % "5.0"]
    shortest = load("gate", then="length")(texts, solution=["5"] * 3, prompts=["a"] * 3)
    assert shortest == [0.5, 0.0, -0.5]  # the long one is not among them


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("weighted_sum", {"parts": {"acuracy": 1}}, "there is no reward 'acuracy'"),
        ("weighted_sum", {"parts": {}}, "weighted_sum has no parts"),
        ("weighted_sum", {"parts": {"format": "high"}}, "neither a weight nor parameters"),
        ("weighted_sum", {"parts": {"cosine": {"maxlen": 3}}}, "no parameter 'maxlen'"),
        ("gate", {"first": "formt"}, "there is no reward 'formt'"),
        ("gate", {"first": {"format": {}, "accuracy": {}}}, "is not one reward"),
    ],
)
def test_a_part_that_is_not_there(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(name, **parameters)(["x"], solution=["5"])


def test_every_reward_has_its_file() -> None:
    from r1lab.rewards.named import names

    functions = Path(__file__).parents[2] / "r1lab/rewards"
    text = "\n".join(file.read_text() for file in functions.glob("*.py"))
    assert all(f"def {name}(" in text or f"class {name}:" in text for name in names())
