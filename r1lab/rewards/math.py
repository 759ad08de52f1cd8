"""Answers that can be compared: numbers and LaTeX expressions."""

from __future__ import annotations

import re
from fractions import Fraction

from r1lab.rewards.verifier import Verifier

OPEN, CLOSE = "<answer>", "</answer>"
BRACE = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)  # `\{` is a brace to print, not one that groups
PLAIN = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?")
WORDS = re.compile(r"[^\W\d_]{3,}([ '.-]+[^\W\d_]+)*")  # an answer in words; shorter ones may be products of variables
NAMED = re.compile(r"\s*\$?\s*\\?[A-Za-z]\w{0,10}(\(\w\))?\s*=(?!=)")  # `x = `, before the value
UNFINISHED = re.compile(r"[\d)}]\s*([+*×·-]|\\times|\\cdot)\s*[\d({]")  # an operation between numbers, not carried out
THOUGHT = "</think>"
LONGEST = 2000  # characters of an answer that are worth reading

verifier = Verifier()


def final_answer(text: str) -> str | None:
    """The final answer of a completion: the last `\\boxed{…}`, else the last `<answer>` block; None without either.

    What stands inside `<think>` is not an answer. Text outside box and block is never searched for numbers, so that an
    answer cannot be guessed.
    """
    said = text.rpartition(THOUGHT)[2]
    boxed = last_boxed(said)
    return boxed if boxed is not None else last_block(said)


def last_boxed(text: str) -> str | None:
    """The content of the last whole `\\boxed{…}`, its braces balanced."""
    opened: list[int | None] = []  # of each brace that is open: where a box's content begins, None for other braces
    last, content = -1, None
    for brace in BRACE.finditer(text):
        if brace[0] == "}":
            start = opened.pop() if opened else None
            if start is not None and start > last:
                last, content = start, text[start : brace.start()].strip()
        elif brace[0][-1] == "{" and brace[0] != "\\{":
            opened.append(brace.end() if len(brace[0]) > 1 else None)
    return content


def last_block(text: str) -> str | None:
    """The content of the last `<answer>` block."""
    start = text.rfind(OPEN, 0, max(0, text.rfind(CLOSE)))
    return text[start + len(OPEN) : text.find(CLOSE, start)].strip() if start >= 0 else None


def plain_number(text: str) -> Fraction | None:
    """The value of a plain decimal number ("1,234.50"), exact; None for anything else."""
    stripped = text.strip().strip("$").strip()
    return Fraction(stripped.replace(",", "")) if len(stripped) < 400 and PLAIN.fullmatch(stripped) else None


def equal(answer: str | None, solution: str) -> bool | None:
    """Whether an answer equals the gold one; None where the gold one cannot be read or comparing takes too long."""
    if len(solution) > LONGEST:
        return None
    gold = plain_number(solution)
    if gold is not None and (answer is None or plain_number(answer) is not None):
        return answer is not None and plain_number(answer) == gold
    if WORDS.fullmatch(solution.strip()):  # math-verify would read a word as a product of letters, in any order
        return answer is not None and folded(answer) == folded(solution)
    if answer is None or len(answer) > LONGEST or hedged(answer, solution, gold):
        return False if gold is not None else verifier.equal(None, solution)
    verdict = verifier.equal(answer, solution)
    if verdict is None:  # where the gold answer can be read, an answer that takes too long is a wrong one
        return False if gold is not None else verifier.equal(None, solution)
    return verdict


def folded(text: str) -> str:
    """Text without case, and with its white space made even."""
    return " ".join(text.casefold().split())


def hedged(answer: str, solution: str, gold: Fraction | None) -> bool:
    """Whether an answer says more than one thing: several `$…$`, an equation, or a sum left for the reader to do."""
    if answer.count("$") > 2:
        return True
    if "=" not in solution:
        value = NAMED.sub("", answer, count=1)
        if "=" in value:
            return True
        return gold is not None and UNFINISHED.search(value) is not None and "\\frac" not in value
    return False


def accuracy(completions: list[str], solution: list[str | None]) -> list[float | None]:
    """1 where the final answer equals the gold one, else 0; None where the gold answer cannot be read.

    Equality is that of math-verify (LaTeX, numbers, sets), with plain decimal numbers compared exactly and first.

    Args:
        completions: (B,) texts.
        solution: (B,) gold answers; a boxed or `$…$` part of a longer text is found.
    """
    scores: list[float | None] = []
    for text, gold in zip(completions, solution, strict=True):
        verdict = None if gold is None else equal(final_answer(text), final_answer(gold) or gold)
        scores.append(None if verdict is None else float(verdict))
    return scores
