"""`format` against every way to be wrong, and the coin."""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.errors import ConfigError
from r1lab.rewards import load
from r1lab.rewards.text import (
    TAGS,
    code_format,
    coin_flip,
    format,
    reasoning_steps,
    repetition_penalty,
    tag_count,
    think_format,
)

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


def test_think_format_is_format_behind_a_prefilled_tag() -> None:
    rest = RIGHT.removeprefix("<think>\n")
    assert think_format([rest, "\n" + rest, rest + "\n", RIGHT, "12", rest + " Done."]) == [
        1.0,
        1.0,
        1.0,
        0.0,
        0.0,
        0.0,
    ]
    assert format([rest]) == [0.0]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (RIGHT, 1.0),
        (RIGHT + RIGHT, 0.0),
        (RIGHT.replace("<think>\n", ""), 0.75),
        (RIGHT.replace("<answer>\n12", "12"), 0.75),
        (RIGHT.replace("</think>\n<answer>", "<answer>\n</think>"), 1.0),  # places are not looked at
        ("12\n</answer> at the end <think>\n", 0.5),
        ("", 0.0),
    ],
)
def test_tag_count(text: str, score: float) -> None:
    assert tag_count([text]) == [score]


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("", 0),
        ("Step 1: a Step 2: b", 2),
        ("1. a\n2. b", 2),  # every line counts
        ("- a\n- b", 2),
        ("x\n* a", 1),
        ("x 1. a - b", 0),
        ("First, a. Second, b.", 2),
        ("First a, Firstly, b", 0),
        ("1. a\n" * 9, 3),
    ],
)
def test_reasoning_steps(text: str, signs: int) -> None:
    assert reasoning_steps([text]) == [signs / 3]


@pytest.mark.parametrize(
    ("text", "n_grams", "penalty"),
    [
        ("", 3, 0.0),
        ("two words", 3, 0.0),
        ("word word word word", 3, -0.5),
        ("this is a this is a test", 2, -1 / 3),
        ("A b a B", 1, -0.5),
        ("a b c d", 2, 0.0),
    ],
)
def test_repetition_penalty(text: str, n_grams: int, penalty: float) -> None:
    assert repetition_penalty([text], n_grams=n_grams) == [pytest.approx(penalty)]
    assert repetition_penalty([text], n_grams=n_grams, max_penalty=-2.0) == [pytest.approx(2 * penalty)]


def test_chinese_words_are_those_of_jieba(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = SimpleNamespace(cut=lambda text: (text[place : place + 2] for place in range(0, len(text), 2)))
    monkeypatch.setitem(sys.modules, "jieba", pairs)
    assert repetition_penalty(["这个这个这个这个这个"], n_grams=2, language="zh") == [-0.75]
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(ConfigError, match="pip install jieba"):
        load("repetition_penalty", language="zh")(["这个"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"max_penalty": 0.5}, "max_penalty=0.5"), ({"n_grams": 0}, "n_grams=0"), ({"language": "fr"}, "language='fr'")],
)
def test_a_penalty_that_is_none_is_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("repetition_penalty", **parameters)(["x y z"])


def test_code_format() -> None:
    right = "<think>\nx\n</think>\n<answer>\nHere:\n```python\nprint(1)\n```\n</answer>"
    assert code_format()(
        [right, right.replace("python", "cpp"), right.replace("```\n<", "<"), right + " x", RIGHT]
    ) == [
        1.0,
        *[0.0] * 4,
    ]
    both = [right, right.replace("python", "cpp")]
    assert code_format("cpp")(both) == [0.0, 1.0]
    assert code_format("cpp")(both, ["python", None]) == [1.0, 1.0]  # a row's own language goes before
    assert load("code_format", language="cpp")(both, language=["cpp", "cpp"]) == [0.0, 1.0]
    thought = right.replace("```python\nprint(1)\n```", "12").replace("\nx\n", "\n```python\n1\n```\n")
    assert code_format()([thought]) == [0.0]
