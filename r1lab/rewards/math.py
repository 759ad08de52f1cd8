"""Answers that can be compared: numbers and LaTeX expressions."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify
from math_verify.errors import TimeoutException

ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
PLAIN = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
LONGEST = 2000  # characters of an answer that are worth parsing
SECONDS = 5


def final_answer(text: str) -> str | None:
    """The final answer of a completion: the last `\\boxed{…}`, else the last `<answer>` block; None without either.

    Text outside both is never searched for numbers, so that an answer cannot be guessed.
    """
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed
    blocks = ANSWER.findall(text)
    return blocks[-1].strip() if blocks else None


def last_boxed(text: str) -> str | None:
    """The content of the last whole `\\boxed{…}`, its braces balanced."""
    for start in reversed([match.end() for match in re.finditer(r"\\boxed\s*\{", text)]):
        depth = 1
        for end in range(start, min(len(text), start + LONGEST)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                return text[start:end].strip()
    return None


def plain_number(text: str) -> Fraction | None:
    """The value of a plain decimal number ("1,234.50"), exact; None for anything else."""
    stripped = text.strip().strip("$").strip()
    return Fraction(stripped.replace(",", "")) if len(stripped) < 400 and PLAIN.fullmatch(stripped) else None


@lru_cache(maxsize=65536)
def gold_expressions(solution: str) -> tuple[Any, ...]:
    """A gold answer as math-verify reads it; empty where it cannot be read."""
    anchored = solution if "\\boxed" in solution or "$" in solution else f"${solution}$"
    try:
        return tuple(parse(anchored, extraction_config=[LatexExtractionConfig()], parsing_timeout=SECONDS))
    except TimeoutException:
        return ()


def equal(answer: str, solution: str) -> bool | None:
    """Whether an answer equals the gold one; None where the gold one cannot be read or comparing takes too long."""
    if answer.strip() == solution.strip() and solution.strip():
        return True
    number, gold_number = plain_number(answer), plain_number(solution)
    if number is not None and gold_number is not None:
        return number == gold_number
    gold = gold_expressions(solution)
    if not gold:
        return None
    try:
        found = parse(f"${answer[:LONGEST]}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=SECONDS)
        return bool(verify(list(gold), found, timeout_seconds=SECONDS))
    except TimeoutException:
        return None


def accuracy(completions: list[str], solution: list[str | None]) -> list[float | None]:
    """1 where the final answer equals the gold one, else 0; None where the gold answer cannot be read.

    Equality is that of math-verify (LaTeX, numbers, sets), with plain decimal numbers compared exactly and first.

    Args:
        completions: (B,) texts.
        solution: (B,) gold answers; a boxed or `$…$` part of a longer text is found.
    """
    scores: list[float | None] = []
    for text, gold in zip(completions, solution, strict=True):
        answer = final_answer(text)
        gold_answer = (final_answer(gold) or gold) if gold is not None else None
        if gold_answer is None:
            scores.append(None)
        elif answer is None:
            scores.append(0.0 if plain_number(gold_answer) is not None or gold_expressions(gold_answer) else None)
        else:
            verdict = equal(answer, gold_answer)
            scores.append(None if verdict is None else float(verdict))
    return scores
