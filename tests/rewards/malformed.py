"""Completions as no model should write them, drawn by hypothesis, and what every reward must make of them."""

from __future__ import annotations

import math
import shutil
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from r1lab.rewards import Reward, load
from r1lab.rewards.base import Failure, Mark
from r1lab.rewards.named import names

PARAMETERS: dict[str, dict[str, Any]] = {"weighted_sum": {"parts": {"accuracy": 1.0, "tag_count": 0.5}}}
IN_A_SANDBOX = ("code", "binary_code", "ioi_code", "cf_code")
LIMITS = {"seconds": 1.0, "wall_seconds": 3.0, "memory": 256 << 20}
SANDBOX = {"name": "local", "limits": LIMITS}
CASES = [{"input": "2", "output": "4"}, {"input": "", "output": ""}]
INFOS = [
    *({"language": "python", "test_cases": CASES}, {"language": "cpp", "test_cases": CASES[:1]}, "{", None, {}, 5),
    *({"test_cases": [{}]}, {"language": "\ud800", "test_cases": CASES}, {"language": None, "test_cases": [None]}),
]
GRADERS = [["graders/t.h", "int f();"], ["graders/grader.cpp", '#include "t.h"\nint main() { return f(); }']]
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
PROGRAM = [
    "print(",
    "int(input())",
    "4)",
    "\n",
    "import os\n",
    "os.abort()",
    "raise SystemExit(3)",
    "x = 1" * 9,
    "(" * 300,
]
fenced = st.tuples(
    st.sampled_from(["```python\n"] * 9 + ["```cpp\n"]),
    st.lists(st.sampled_from(PROGRAM) | piece, max_size=6).map("".join),
    st.sampled_from(["\n```", "\n```\n", "```", "\n``` and more"]),
).map("".join)
completion = st.one_of(
    fenced,
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
    """Every reward; those that run programs where bubblewrap is installed."""
    chosen = [name for name in names() if name not in IN_A_SANDBOX or shutil.which("bwrap")]
    return [load(name, **PARAMETERS.get(name, {"sandbox": SANDBOX} if name in IN_A_SANDBOX else {})) for name in chosen]


def judge(reward: Reward, texts: list[str]) -> list[Mark]:
    """A reward's marks, with every column that any reward may read; each a finite number or None."""
    count = len(texts)
    marks = reward.judge(
        texts,
        solution=[GOLDS[place % len(GOLDS)] for place in range(count)],
        prompts=[[{"role": "user", "content": str(place // 4)}] for place in range(count)],
        completion_ids=[[0] * len(text) for text in texts],
        language=[("python", "cpp", None)[place % 3] for place in range(count)],
        verification_info=[INFOS[place % len(INFOS)] for place in range(count)],
        id=["t"] * count,
        official_tests=[CASES] * count,
        test_names=[["a"]] * count,
        test_cases=[{"a": ("2", "4")}] * count,
        grader_files=[GRADERS] * count,
        time_limit=[0.5] * count,
        memory_limit=[256.0 if reward.__name__ == "cf_code" else 256 << 20] * count,
    )
    assert len(marks) == count
    unknown = {"no sandbox runs '\\ud800'"}  # a language that the data set asks for
    assert {mark.reason for mark in marks if isinstance(mark, Failure)} <= unknown
    assert all(math.isfinite(mark) for mark in marks if isinstance(mark, float))
    return marks
