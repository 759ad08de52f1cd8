"""Answers that can be compared: numbers and LaTeX expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1lab.rewards.answers import LONGEST, final_answer, gold_answer, is_sentence
from r1lab.rewards.base import Failure, Mark
from r1lab.rewards.notation import (
    LETTER,
    equal_exactly,
    equal_numbers,
    kind_of,
    rational,
    sides_of,
    split_percent,
    split_unit,
    tidy,
)
from r1lab.rewards.pool import Question, Verdict, pool

WORDS = re.compile(r"[^\W\d_]{3,}([ '.-]+[^\W\d_]+)*")  # an answer in words; shorter ones may be products of variables
UNFINISHED = re.compile(r"[\d)}]\s*([+*×·-]|\\times|\\cdot)\s*[\d({]")  # an operation between numbers, not carried out
POWER_OF_TEN = re.compile(r"[+-]?[\d.]+\s*\\times\s*10\s*\^\s*(\d|\{-?\d+\})")
SOMETHING = re.compile(r"\w|\\[A-Za-z]|∞|[½-⅞]")  # punctuation alone is no gold answer
LIST = re.compile(r"[,;]|\\cup|\\pm|\b(and|or)\b")


def accuracy(completions: list[str], solution: list[str | float | None], *, workers: int | None = None) -> list[Mark]:
    """1 where the final answer equals the gold one, else 0; None where the gold answer cannot be read.

    Equality is that of math-verify (LaTeX, numbers, sets), held in by what docs/rewards.md lists; plain decimal numbers
    are compared exactly and first. Open-R1 calls it accuracy too.

    Args:
        completions: (B,) texts.
        solution: (B,) gold answers; a boxed or `$…$` part of a longer text is found.
        workers: processes that compare; None: as many as processor cores, at most 4.
    """
    return [
        float(verdict) if isinstance(verdict, bool) else verdict for verdict in verdicts(completions, solution, workers)
    ]


def verdicts(
    completions: Sequence[str], solution: Sequence[str | float | None], workers: int | None = None
) -> list[Verdict]:
    """Whether each completion's final answer equals its gold one; None where that cannot be read.

    Equal pairs of a call are compared once.
    """
    golds = {gold: gold_answer(gold) for gold in dict.fromkeys(solution) if gold is not None}
    pairs = [
        None if gold is None else (final_answer(text), golds[gold])
        for text, gold in zip(completions, solution, strict=True)
    ]
    decided: dict[Question, bool | list[Question] | None] = {
        pair: decide(*pair) for pair in dict.fromkeys(pairs) if pair is not None
    }
    asked = list(dict.fromkeys(question for found in decided.values() if isinstance(found, list) for question in found))
    replies = dict(zip(asked, pool(workers).judge(asked), strict=True)) if asked else {}
    results: list[Verdict] = []
    for pair in pairs:
        found = None if pair is None else decided[pair]
        results.append(combined([replies[question] for question in found]) if isinstance(found, list) else found)
    return results


def combined(replies: Sequence[Verdict]) -> Verdict:
    """The verdict on an answer that says its value more than once: every side must equal the gold answer."""
    failed = [reply for reply in replies if isinstance(reply, Failure)]
    if failed:
        return failed[0]
    return None if None in replies else all(replies)


def equal(answer: str | None, solution: str) -> Verdict:
    """Whether an answer equals the gold one; None where the gold one cannot be read."""
    found = decide(answer, solution)
    return combined(pool().judge(found)) if isinstance(found, list) else found


def decide(answer: str | None, solution: str) -> bool | list[Question] | None:
    """The verdict where it can be told at once, else what to ask math-verify: every reply must be yes."""
    if len(solution) > LONGEST or not SOMETHING.search(solution):
        return None
    gold = tidy(solution)
    if "=" in gold and len(sides := sides_of(gold)) > 1 and not LETTER.search(gold):
        gold = sides[-1]  # between numbers, an equation says its value: `1 = 1` is 1, and not `2 = 2`
    if WORDS.fullmatch(gold) or (is_sentence(gold) and "\\" not in gold and "$" not in gold):
        return answer is not None and folded(answer) == folded(gold)  # math-verify would multiply the letters
    gold, unit = split_unit(gold)
    bare, percent = split_percent(gold)
    number = rational(bare)
    wrong: bool | list[Question] = False if number is not None else [(None, gold)]
    if answer is None or len(answer) > LONGEST:
        return wrong
    said = tidy(answer)
    if "".join(said.split()) == "".join(gold.split()) or answer == solution:
        return True
    if said.count("$") > 2 and not LIST.search(gold):
        return wrong  # several answers
    sides = [said] if "=" in gold else sides_of(said)
    asked: list[Question] = []
    for side in sides:
        side, other = split_unit(side)
        value, sign = split_percent(side)
        ours = rational(value)
        if (unit and other and unit != other) or {kind_of(side), kind_of(gold)} == {"set", "tuple"}:
            return wrong  # math-verify drops units, and takes a pair for a set
        if number is not None and ours is not None:
            if not equal_numbers((ours, sign), (number, percent)):
                return False
        elif number is not None and len(sides) == 1 and unfinished(side):
            return False
        elif (same := equal_exactly(side, gold)) is not None:
            if not same:
                return False
        else:
            asked.append((side, gold))
    return asked or True


def unfinished(answer: str) -> bool:
    """Whether an answer leaves a sum or a product to the reader; a number in scientific notation does not."""
    if POWER_OF_TEN.fullmatch(answer):
        return False
    return UNFINISHED.search(answer) is not None and "\\frac" not in answer


def folded(text: str) -> str:
    """Text without case, `$` and `\\text{}`, and with its white space made even."""
    bare = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text.strip().strip("$"))
    return " ".join(bare.casefold().removesuffix(".").split())
