"""Answers that can be compared: numbers and LaTeX expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TypeGuard

from r1lab.rewards.answers import LONGEST, final_answer, gold_answer, is_sentence
from r1lab.rewards.base import Failure, Mark
from r1lab.rewards.notation import (
    DELIMITED,
    LETTER,
    NAMED,
    collection,
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
UNFINISHED = re.compile(  # an operation between two values, not carried out
    r"[\w)}\]!%]\s*(?:[+*×·−-]|\\(?:times|cdot|pm|mp|ast|star)(?![A-Za-z]))|[\d)}!]\s*\(\s*[-+\d\\]|\)\s*\d"
    r"|\}\s*\\[dt]?frac|\|"
    r"|\\(?:sin|cos|tan|cot|sec|csc|arc[a-z]+|log|ln|lg|exp)(?![A-Za-z])"
)
OPERATORS = {  # what asks for a value: an answer may hold it only where the gold one does
    "two signs": re.compile(r"-\s*-"),
    "integral": re.compile(r"\\[io]*int(?![A-Za-z])|∫"),
    "sum": re.compile(r"\\sum(?![A-Za-z])|∑"),
    "product": re.compile(r"\\prod(?![A-Za-z])|∏"),
    "limit": re.compile(r"\\lim|(?<![A-Za-z])lim(?![A-Za-z])"),
    "divisor": re.compile(r"(?<![A-Za-z])(?:gcd|lcm|gcf|hcf)(?![A-Za-z])", re.IGNORECASE),
    "extreme": re.compile(r"(?<![A-Za-z])(?:max|min|sup|inf)(?:(?=\s*[(_\\{])|\})"),
    "determinant": re.compile(r"(?<![A-Za-z])det(?![A-Za-z])|[vV]matrix|(?:\||\\vert)\s*\\begin|left\s*\|\s*\\begin"),
    "binomial": re.compile(r"\\[dt]?binom(?![A-Za-z])|\\choose(?![A-Za-z])"),
    "rounding": re.compile(r"\\[lr](?:floor|ceil)(?![A-Za-z])|[⌊⌋⌈⌉]|(?<![A-Za-z])(?:floor|ceil)\("),
    "remainder": re.compile(r"\\[bp]?mod(?![A-Za-z])"),
    "division": re.compile(r"\\div(?![A-Za-z])|÷"),
    "ratio": re.compile(r"[\d)}]\s*(?::|\\colon(?![A-Za-z]))\s*[\d({\\]"),
    "derivative": re.compile(
        r"\\[dt]?frac\s*\{\s*(?:\\mathrm\s*\{\s*d\s*\}|\\partial|d)\s*(?:\^\s*\{?\d\}?\s*)?[^{}]{0,40}\}\s*"
        r"\{\s*(?:\\mathrm\s*\{\s*d\s*\}|\\partial|d)\s*[A-Za-z]|(?<![A-Za-z])d/d[a-z]|\\nabla(?![A-Za-z])"
    ),
    "prime": re.compile(r"[\w)}]\s*(?:'|′|\\prime|\^\s*\{?\s*\\prime)"),
    "gap": re.compile(r"\d(?:\s|~|\\[,;: !]|\\q?quad)+(?!\d{3}(?!\d))(?!\d+/\d)\d"),
    "hedge": re.compile(r"(?i:\b(?:not|isn't|but|maybe|perhaps)\b)|\\(?:text|mathrm|textrm|mbox)\s*\{[^{}]*\d"),
    "second text": re.compile(
        r"(?i)\\(?:text|mathrm|textrm|mbox)\s*\{(?!\s*,?\s*(?:and|or)\s*\})"
        r"[^{}]*(?:\b(?:and|or)\b|,)[^{}]*\}.*\d",
        re.DOTALL,
    ),
}
BASED = re.compile(r"\(?(\d[\dA-Fa-f]*)\)?\s*_\s*(?:(\d)|\{\s*\(?(\d+)\)?\s*\})")
SPACING = re.compile(r"\\[,;:!]|\\(?:q?quad|left|right|mathbin|mathrel|mathop|hspace\*?\{[^{}]*\})(?![A-Za-z])")
OPERATOR_IN_BRACES = re.compile(r"\{\s*([-+*/:×·÷]|\\(?:times|cdot|div))\s*\}")
TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*\{[^{}]*\}")
RATIONAL = re.compile(r"(?=.*\d)(?:[\d.,{}!^\s()/%+-]|\\[dt]?frac(?![A-Za-z])|\\(?:left\(|right\)|%))+")
SUM = re.compile(r"[\d)}!]\s*[+-]|,\s|,(?!\d{3})")
EITHER = re.compile(r"\s*(?:[,;]|\\(?:text|mathrm)\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*")
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
    golds = {gold: gold_answer(gold) for gold in dict.fromkeys(filter(readable, solution))}
    pairs = [
        (final_answer(text), golds[gold]) if readable(gold) else None
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


def readable(gold: object) -> TypeGuard[str | float]:
    """Whether a gold answer is a text or a number at all."""
    return isinstance(gold, str | int | float | Fraction | Decimal)


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
    if packed(said) == packed(gold) or answer == solution:
        return True
    if said.count("$") > 2 and not LIST.search(gold):
        return wrong  # several answers
    if different_bases(said, gold) or left_open(said, gold):
        return wrong
    said = as_list(said, gold)
    if packed(said) == packed(gold):
        return True
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
        elif (same := equal_exactly(side, gold)) is not None:
            if not same:
                return False
        else:
            asked.append((side, gold))
    return asked or True


def packed(text: str) -> str:
    """A text without white space, unless it stands between digits."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


def left_open(answer: str, gold: str) -> bool:
    """Whether an answer asks for what the gold one says: it holds an operator that the gold one lacks (`\\gcd`, `--`),
    or a sum or product in the place of one rational number. Of `3 + 4 = 7` only the 7 counts there.
    """
    answer = OPERATOR_IN_BRACES.sub(r"\1", SPACING.sub(" ", answer))
    last = sides_of(answer)[-1]
    if any(sign.search(last) and not sign.search(gold) for sign in OPERATORS.values()):
        return True
    if OPERATORS["hedge"].search(answer) and not OPERATORS["hedge"].search(gold):
        return True
    return is_rational(gold) and unfinished(last)


def is_rational(gold: str) -> bool:
    """Whether a gold answer is one rational number, or a collection of such, whatever stands around it."""
    marked = DELIMITED.findall(gold)
    if len(marked) == 1:
        gold = next(part for part in marked[0] if part)
    while (named := NAMED.match(gold)) is not None:
        gold = gold[named.end() :]
    gold = split_percent(TEXT.sub("", gold).strip())[0]
    if rational(gold) is not None or collection(gold) is not None:
        return True
    return RATIONAL.fullmatch(gold) is not None and not SUM.search(gold)


def unfinished(answer: str) -> bool:
    """Whether an answer leaves an operation to the reader; a number in scientific notation does not."""
    return rational(split_percent(answer)[0]) is None and UNFINISHED.search(TEXT.sub("", answer)) is not None


def different_bases(answer: str, gold: str) -> bool:
    """Whether two numbers are written to different bases, or only one of them to a base: 101_2 is neither 101_3 nor
    101."""
    ours, theirs = BASED.fullmatch(answer), BASED.fullmatch(gold)
    if ours is None or theirs is None:
        return ours is not theirs
    return [ours[1].upper(), ours[2] or ours[3]] != [theirs[1].upper(), theirs[2] or theirs[3]]


def as_list(answer: str, gold: str) -> str:
    """`x = 1 or x = 2` as `1, 2`, where the gold answer is a list without names."""
    parts = EITHER.split(answer) if "=" in answer and "=" not in gold and LIST.search(gold) else []
    named = [NAMED.match(part) for part in parts]
    found = [name for name in named if name is not None]
    if len(parts) < 2 or len(found) < len(parts) or len({name[0].strip(" =") for name in found}) > 1:
        return answer
    return ", ".join(part[name.end() :].strip() for part, name in zip(parts, found, strict=True))


def folded(text: str) -> str:
    """Text without case, `$` and `\\text{}`, and with its white space made even."""
    bare = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text.strip().strip("$"))
    return " ".join(bare.casefold().removesuffix(".").split())
