"""The ideal completion of a row gets full marks from every reward, and a worse one does not."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from r1lab.rewards import load
from r1lab.rewards.ideal import full_marks, ideal

PARAMETERS: dict[str, dict[str, Any]] = {
    "coin_flip": {"p": 1.0},
    "weighted_sum": {"parts": {"accuracy": 1.0, "format": 0.2, "cosine": {"weight": 2.0, "max_len": 400}}},
    "code_format": {"language": "cpp"},
}
MATHS = [
    {"solution": "12"},
    {"solution": r"\frac{\pi}{2}"},
    {"solution": r"so it is \boxed{x^2+1}"},
    {"solution": "#### 1,234"},
    {"solution": "The answer is 5."},
    {"solution": r"\{1, 2\}"},
    {"solution": "Paris"},
    {"solution": 12},
]
NAMES = [
    *("accuracy", "exact", "format", "think_format", "tag_count", "reasoning_steps", "length", "cosine"),
    *("repetition_penalty", "soft_overlong_punishment", "weighted_sum", "gate", "coin_flip"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", MATHS, ids=lambda row: str(row["solution"]))
def test_the_ideal_completion_gets_full_marks(name: str, row: dict[str, Any]) -> None:
    reward = load(name, **PARAMETERS.get(name, {}))
    best = ideal(row, [name])
    worse = best.replace("Solve", "Solve " * 40) + "\n\\boxed{wrong answer}"
    scores = reward(
        [best, worse], solution=[row["solution"]] * 2, completion_ids=[[0] * 10, [0] * 20_000], prompts=["p"] * 2
    )
    assert scores[0] == pytest.approx(full_marks(reward, best))
    if name not in ("tag_count", "reasoning_steps", "coin_flip"):
        assert scores[1] is not None and scores[1] < full_marks(reward, worse)


def test_rows_of_other_kinds() -> None:
    letter = load("multiple_choice")
    assert letter([ideal({"solution": "(B) Paris"}, ["multiple_choice"])], solution=["(B) Paris"]) == [1.0]
    row = {"solution": "x", "language": "cpp", "gold_standard_solution": "int main() {}\n"}
    best = ideal(row, ["code_format", "code"])
    assert "```cpp\nint main() {}\n```\n</answer>" in best
    assert load("code_format")([best], language=["cpp"]) == [1.0]
    assert load("code_format")([ideal({}, ["code_format"])]) == [1.0]
    assert ideal({"solution": "1"}, ["think_format"]).startswith("1. Read.")


DOUBLE = "print(2 * int(input()))"
INFO = {"language": "python", "test_cases": [{"input": "2", "output": "4"}, {"input": "3", "output": "6"}]}
TASK = {
    "id": "twice",
    "test_names": ["a"],
    "test_cases": {"a": ("2", "4")},
    "grader_files": [
        ["graders/twice.h", "int twice(int n);"],
        [
            "graders/grader.cpp",
            '#include "twice.h"\n#include <cstdio>\n'
            'int main() { int n; if (scanf("%d", &n) == 1) printf("%d", twice(n)); }',
        ],
    ],
    "time_limit": 2.0,
    "memory_limit": 256 << 20,
    "code": "int twice(int n) { return 2 * n; }",
}
PROBLEM = {
    "id": "1/A",
    "official_tests": INFO["test_cases"],
    "time_limit": 2.0,
    "memory_limit": 256,
    "code": DOUBLE,
    "language": "python",
}
PROGRAMS: list[tuple[str, dict[str, Any], dict[str, Any], float]] = [
    ("code", {"verification_info": INFO, "gold_standard_solution": f"```python\n{DOUBLE}\n```"}, {}, 1.0),
    (
        "code",
        {
            "verification_info": json.dumps({**INFO, "language": "cpp"}),
            "code": "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << 2 * n; }",
        },
        {},
        1.0,
    ),
    ("binary_code", {"verification_info": INFO, "code": DOUBLE}, {}, 1.0),
    ("ioi_code", TASK, {}, 1.0),
    ("cf_code", PROBLEM, {}, 1.1),
    ("cf_code", PROBLEM, {"scoring_mode": "partial"}, 1.0),
]


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
@pytest.mark.parametrize(("name", "row", "parameters", "most"), PROGRAMS)
def test_a_gold_program_gets_full_marks(
    name: str, row: dict[str, Any], parameters: dict[str, Any], most: float
) -> None:
    reward = load(name, **parameters)
    best = ideal(row, [name])
    worse = best.replace("2 * ", "3 * ")
    assert worse != best
    scores = reward([best, worse], **{key: [value] * 2 for key, value in row.items()})
    assert scores[0] == pytest.approx(most) == pytest.approx(full_marks(reward, best))
    assert scores[1] == 0.0


def test_full_marks_follow_the_parameters() -> None:
    assert full_marks(load("cosine", max_value_correct=3.0)) == 3.0
    assert full_marks(load("cosine", max_len=10), "x" * 10) == 0.5
    assert full_marks(load("weighted_sum", parts={"accuracy": 2.0, "repetition_penalty": 1.0})) == 2.0
    assert full_marks(load("gate", otherwise=2.0)) == 2.0
    assert full_marks(load("repetition_penalty")) == 0.0 and full_marks(load("length")) == 0.5
