"""Benchmarks in small, in the columns of the published ones; every problem was written for these tests."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

AIME = [
    {"id": 60, "problem": "Find $17 + 25$.", "solution": "It is $42$.", "answer": "42", "url": "", "year": "2024"},
    {"id": 61, "problem": "Find $8^2$.", "solution": "It is $64$.", "answer": "64", "url": "", "year": "2024"},
    {"id": 62, "problem": "Find $5!$.", "solution": "It is $120$.", "answer": "120", "url": "", "year": "2024"},
    {"id": 64, "problem": "Find $9 - 8$.", "solution": "It is $1$.", "answer": "1", "url": "", "year": "2024"},
    {"id": 63, "problem": "Find $49 / 7$.", "solution": "It is $7$.", "answer": "7", "url": "", "year": "2024"},
]
GOLDS = [  # MATH-500: problem, answer
    ("What is half of one?", r"\frac{1}{2}"),
    ("What is the length of the diagonal of a rectangle of 4 by 6?", r"2\sqrt{13}"),
    ("Write $(0, 3)$ in polar coordinates.", r"\left( 3, \frac{\pi}{2} \right)"),
    ("Expand $(x+1)(x+2)$.", "x^2+3x+2"),
    ("Which numbers are greater than 2?", r"(2,\infty)"),
    ("Who is the tallest of Ann, Bob and Eve?", r"\text{Eve}"),
    ("What share of 50 is 5?", r"10\%"),
    ("How many seconds has a quarter of an hour?", "900"),
]
MATH = [
    {
        "problem": problem,
        "solution": f"One finds $\\boxed{{{answer}}}$.",
        "answer": answer,
        "subject": "Algebra",
        "level": 1,
        "unique_id": f"test/algebra/{number}.json",
    }
    for number, (problem, answer) in enumerate(GOLDS)
]
GPQA = [
    {
        "Record ID": f"rec{number}",
        "Question": question,
        "Correct Answer": right,
        **{f"Incorrect Answer {place}": wrong for place, wrong in enumerate(others, 1)},
    }
    for number, (question, right, others) in enumerate(
        [
            ("Which particle has no charge?", "neutron", ("proton", "electron", "positron")),
            ("Which of these is a noble gas?", "argon", ("oxygen", "nitrogen", "chlorine")),
            ("How many chromosomes has a human gamete?", "23", ("46", "22", "44")),
        ]
    )
]


def packed(tests: Sequence[tuple[str, str]], kind: str) -> str:
    """Tests as LiveCodeBench keeps its private ones."""
    listed = [{"input": given, "output": wanted, "testtype": kind} for given, wanted in tests]
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(listed)))).decode()


def program(name: str, text: str, public: tuple[str, str], private: Sequence[tuple[str, str]], call: str = "") -> Row:
    """A problem of LiveCodeBench; `call` is the method that tests call, "" where they use standard input."""
    kind = "functional" if call else "stdin"
    starter = f"class Solution:\n    def {call}(self, n: int) -> int:\n        " if call else ""
    return {
        "question_title": name,
        "question_content": text,
        "platform": "mini",
        "question_id": name,
        "contest_id": "1",
        "contest_date": "2026-01-01T00:00:00",
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": public[0], "output": public[1], "testtype": kind}]),
        "private_test_cases": packed(private, kind),
        "metadata": json.dumps({"func_name": call} if call else {}),
    }


LCB = [
    program("double", "Read a number and print its double.", ("2\n", "4\n"), [("3\n", "6\n"), ("-5\n", "-10\n")]),
    program("lines", "Print the numbers from 1 to n, a line each.", ("1\n", "1\n"), [("3\n", "1\n2\n3\n")]),
    program("triple", "Print a number three times, in one line.", ("2\n", "2 2 2\n"), [("7\n", "7 7 7\n")]),
    program("square", "Return the square of n.", ("3", "9"), [("-4", "16"), ("0", "0")], call="square"),
]
FILES = {"aime24": AIME, "math-500": MATH, "gpqa-diamond": GPQA, "lcb": LCB}


def write(folder: Path) -> list[str]:
    """Write all of them; the words of a run that evaluates on them."""
    words = [f"benchmark=[{','.join(FILES)}]"]
    for name, rows in FILES.items():
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        words.append(f"benchmark.{name}.path={file}")
    return words
