"""`format` against every way to be wrong, and the coin."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.rewards.text import TAGS, coin_flip, format

RIGHT = "<think>\nwork\n</think>\n<answer>\n12\n</answer>"


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        RIGHT + "\n",
        RIGHT + " \n\n",
        "<think>\n\n</think>\n<answer>\n\n</answer>",
        RIGHT.replace("work", "a\n\nb <b>"),
    ],
)
def test_whole_completions_pass(text: str) -> None:
    assert format([text]) == [1.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "\n" + RIGHT,
        "Sure. " + RIGHT,
        RIGHT + "\nDone.",
        RIGHT + RIGHT,
        RIGHT.replace("\n</think>", "</think>"),
        RIGHT.replace("<think>\n", "<think>"),
        RIGHT.replace("</think>\n<answer>", "</think><answer>"),
        RIGHT.replace("</think>\n<answer>", "</think>\n\n<answer>"),
        RIGHT.replace("</think>\n<answer>", "</think>\ntherefore\n<answer>"),
        RIGHT.replace("<answer>\n", "<answer>"),
        RIGHT.replace("\n</answer>", "</answer>"),
        RIGHT.replace("work", "<think>\nwork"),
        RIGHT.replace("work", "<answer>\n3\n</answer>"),
        RIGHT.replace("12", "12\n</answer>\n<answer>\n13"),
        RIGHT.replace("<answer>\n12\n</answer>", ""),
        RIGHT.replace("<think>", "<Think>"),
        RIGHT.replace("<think>", "< think>"),
        RIGHT.replace("\n", "\r\n"),
        RIGHT.replace("\n", " "),
        "<answer>\n12\n</answer>\n<think>\nwork\n</think>",
        *(RIGHT.replace(tag, "", 1) for tag in TAGS),
        *(RIGHT.replace(tag, tag * 2, 1) for tag in TAGS),
        RIGHT[:-1],
    ],
)
def test_everything_else_fails(text: str) -> None:
    assert format([text]) == [0.0]


@given(st.text() | st.lists(st.sampled_from([*TAGS, "\n", "x"])).map("".join))
def test_any_text_is_scored(text: str) -> None:
    (score,) = format([text])
    assert score in (0.0, 1.0)
    assert score == 0.0 or all(text.count(tag) == 1 for tag in TAGS)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_the_coin_has_its_share_and_follows_the_global_dice(p: float) -> None:
    random.seed(3)
    flips = coin_flip([RIGHT] * 10_000, p=p)
    assert set(flips) <= {0.0, 1.0}
    assert abs(sum(flips) / 10_000 - p) <= 4 * (p * (1 - p) / 10_000) ** 0.5
    assert coin_flip([RIGHT] * 10_000, p=p) != flips or p in (0.0, 1.0)
    random.seed(3)
    assert coin_flip([""] * 10_000, p=p) == flips
