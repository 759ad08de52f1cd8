"""`length`, `cosine` and `soft_overlong_punishment` against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.errors import ConfigError
from r1lab.rewards import load
from r1lab.rewards.length import cosine, curve, length, soft_overlong_punishment

RIGHT, WRONG = r"\boxed{5}", r"\boxed{6}"


def long(text: str, characters: int) -> str:
    return text + "." * (characters - len(text))


def test_length_by_hand() -> None:
    texts = [long(RIGHT, 10), long(RIGHT, 20), long(RIGHT, 30), long(WRONG, 10), long(WRONG, 20), long(WRONG, 25)]
    assert length(texts, ["5"] * 6) == [0.5, 0.0, -0.5, 0.0, 0.0, -0.25]
    assert length([RIGHT, WRONG], ["5", "5"]) == [0.0, 0.0]
    assert length([], []) == []


def test_length_is_per_prompt() -> None:
    texts = [long(RIGHT, 10), long(RIGHT, 20), long(RIGHT, 100), long(RIGHT, 300)]
    assert length(texts, ["5"] * 4, ["a", "a", "b", "b"]) == [0.5, -0.5, 0.5, -0.5]
    assert length(texts, ["5"] * 4, ["a", "b", "a", "b"]) == [0.0] * 4  # only neighbours are a group
    conversations: list[Any] = [[{"role": "user", "content": name}] for name in "aabb"]
    assert load("length")(texts, solution=[5] * 4, prompts=conversations) == [0.5, -0.5, 0.5, -0.5]
    assert load("length")(texts, solution=[5] * 4)[3] == -0.5 and load("length")(texts, solution=[5] * 4)[1] > 0.4


def test_what_cannot_be_read_is_skipped_and_still_has_a_length() -> None:
    assert length([long(RIGHT, 10), long(RIGHT, 20), long(RIGHT, 30)], ["5", None, "?"]) == [0.5, None, None]
    assert cosine([RIGHT, RIGHT], [None, "?"]) == [None, None]


@pytest.mark.parametrize(
    ("text", "characters", "value"),
    [
        (RIGHT, 50, 0.75),
        (RIGHT, 100, 0.5),
        (RIGHT, 5000, 0.5),
        (WRONG, 50, -0.25),
        (WRONG, 100, -0.5),
        (WRONG, 200, -0.5),  # no rise beyond max_len
    ],
)
def test_cosine_by_hand(text: str, characters: int, value: float) -> None:
    assert cosine([long(text, characters)], ["5"], max_len=100) == [pytest.approx(value, abs=1e-12)]


def test_cosine_begins_at_its_best() -> None:
    assert curve(0, 1.0, 0.5, 100) == 1.0
    assert cosine([""], ["5"]) == [0.0]
    assert cosine([long(RIGHT, 20)], ["5"], max_len=100) == [0.5 + 0.25 * (1 + math.cos(math.pi / 5))]
    with pytest.raises(ConfigError, match="max_len=0"):
        load("cosine", max_len=0)([RIGHT], solution=["5"])


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(-9, 9), st.floats(-9, 9))
def test_cosine_stays_between_its_ends(max_len: int, own: int, short: float, end: float) -> None:
    value = curve(own, short, end, max_len)
    assert min(short, end) - 1e-9 <= value <= max(short, end) + 1e-9
    assert own < max_len or value == pytest.approx(end)


def test_soft_overlong_punishment_by_hand() -> None:
    tokens = [[0] * count for count in (0, 80, 81, 90, 100, 101, 500)]
    found = soft_overlong_punishment([""] * 7, tokens, max_completion_len=100, soft_punish_cache=20)
    assert found == [0.0, 0.0, -0.05, -0.5, -1.0, -1.0, -1.0]
    assert soft_overlong_punishment(["", ""], [[0] * 100, [0] * 101], max_completion_len=100, soft_punish_cache=0) == [
        0.0,
        -1.0,
    ]
    assert load("soft_overlong_punishment")(["a", "b"]) == [None, None]  # no tokens, no verdict
    assert load("soft_overlong_punishment")(["a", "b"], completion_ids=[[1] * 12288, [1] * 14336]) == [0.0, -0.5]
    with pytest.raises(ConfigError, match="soft_punish_cache=200 is no part"):
        soft_overlong_punishment(["a"], [[1]], max_completion_len=100, soft_punish_cache=200)


def test_tokens_that_are_not_known_are_skipped():
    found = soft_overlong_punishment(["a", "b"], [None, [1] * 20], max_completion_len=20, soft_punish_cache=10)
    assert found == [None, -1.0]
