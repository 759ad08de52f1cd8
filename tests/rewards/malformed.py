"""Completions as no model should write them, drawn by hypothesis, and what every reward must make of them."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from r1lab.rewards import Reward, load
from r1lab.rewards.base import Failure, Mark
from r1lab.rewards.named import names

PARAMETERS: dict[str, dict[str, Any]] = {"weighted_sum": {"parts": {"accuracy": 1.0, "tag_count": 0.5}}}
IN_A_SANDBOX = ("code", "binary_code", "ioi_code", "cf_code")
PIECES = [
    *("<think>", "<think>\n", "\n</think>\n", "</think>", "<answer>", "\n<answer>\n", "\n</answer>", "</answer>"),
    *("<thi", "</thin", "<answe", "</", "<think><think>", "<answer><answer>", "</think></think>"),
    *(
        r"\boxed{",
        r"\boxed{12}",
        r"\boxed{\boxed{",
        r"\boxed",
        "}",
        "{",
        "{{{{",
        "}}}}",
        r"\{",
        "\\",
        r"\frac{",
        r"\frac",
    ),
    *("$", "$$", r"\(", r"\)", r"\[", r"\]", "answer is $", "Answer: ", "final answer is $5$", "12", "=", "%", "1e999"),
    *("```", "```python\n", "```cpp\n", "\n```\n", "`" * 7, "Step 1:", "\n- ", "First,", "\n1. ", "A", "(B)", "####"),
    *("\x00", "\ud800", "\udfff\ud800", "\u202e", "\u2028", "½", "٣", "𝟙", "é" * 3, "\r\n", "\t", "\x1b[0m", "🙂"),
    *(
        "9^{9^{9}}",
        "9**9**9",
        r"\binom{10^9}{10^8}",
        "1/0",
        r"\sqrt{",
        r"\left(",
        r"\begin{matrix}",
        "&",
        "^",
        "_",
        "~",
    ),
]
HUGE = [
    "{" * 20_000,
    r"\boxed{" * 4_000,
    "<answer>" * 4_000,
    "answer $" * 4_000,
    "word " * 8_000,
    "-\n" * 10_000,
    "9" * 20_000,
]
GOLDS = [
    *("12", r"\frac{1}{2}", "$x=5$", "(1, 2)", "A", "Paris", "50%", "#### 5", "The answer is 5.", None, 12, 0.5),
    *("", "?", "\x00", "\ud800", r"\boxed{", "{" * 3000, "1e3"),
]


piece = (
    st.sampled_from(PIECES)
    | st.text(max_size=8)
    | st.text(alphabet=st.characters(categories=["Cs", "Cc", "Sm"]), max_size=4)
)
completion = st.one_of(
    st.lists(piece, max_size=14).map("".join),
    st.lists(piece, max_size=14).map("".join),
    st.lists(piece, max_size=14).map("".join),
    st.tuples(piece, st.sampled_from(HUGE), piece).map("".join),
    st.tuples(piece, st.integers(1, 300)).map(lambda drawn: drawn[0] * drawn[1]),
)


def drawn(count: int, number: int = 0) -> list[str]:
    """So many completions, the same ones for the same number; nearly all of them different."""
    found: list[str] = []

    @seed(number)
    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(completion)
    def draw(text: str) -> None:
        found.append(text)

    draw()
    return [found[place % len(found)] for place in range(count)]


def rewards() -> list[Reward]:
    """Every reward that needs no sandbox."""
    return [load(name, **PARAMETERS.get(name, {})) for name in names() if name not in IN_A_SANDBOX]


def judge(reward: Reward, texts: list[str]) -> list[Mark]:
    """A reward's marks, with every column that any reward may read; each a finite number or None."""
    count = len(texts)
    marks = reward.judge(
        texts,
        solution=[GOLDS[place % len(GOLDS)] for place in range(count)],
        prompts=[[{"role": "user", "content": str(place // 4)}] for place in range(count)],
        completion_ids=[[0] * len(text) for text in texts],
        language=[("python", "cpp", None)[place % 3] for place in range(count)],
    )
    assert len(marks) == count
    assert not any(isinstance(mark, Failure) for mark in marks)
    assert all(mark is None or math.isfinite(mark) for mark in marks)  # type: ignore[arg-type]
    return marks
