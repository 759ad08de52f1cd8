"""Answers that need no algebra: a letter among a few, or a text that is equal or is not."""

from __future__ import annotations

import re
import string

from r1lab.rewards.answers import LONGEST, final_answer, gold_answer
from r1lab.rewards.math import folded, readable
from r1lab.rewards.notation import plain_number, tidy

COMMAND = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|boxed)\s*\{([^{}]*)\}")
OPENING = re.compile(r"(?i:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)\b(?:\s+is\b)?\s*:?\s*)?")
CHOSEN = re.compile(  # the letter, and its option's text
    r"[(\[]?\s*([A-Za-z])\s*(?:(?:[)\].:,]+|(?<=\s)[-–—](?=\s))(.*))?", re.DOTALL
)
LONE = r"(?:[Aa](?!\s+(?!and\b|or\b)\w)|[B-Zb-z])(?![\w'])"  # "a cat" is no second letter
OTHERS = re.compile(  # another letter, in a list or marked as one is; in "Vitamin C" it is a part of the text
    rf"^\s*[(\[]?({LONE})\W*$|(?<!\w)([A-Za-z])\s*[)\]:]|[(\[]\s*([A-Za-z])\s*[)\]]"
    r"|(?:[,;/&]|\b(?i:and|or|not|no|nor|but|is|be|else|maybe|perhaps|actually|rather|instead|also|even|then|option"
    rf"|choice|answer|either|possibly|probably|vs)\b)\W*({LONE})"
)


def multiple_choice(completions: list[str], solution: list[str | None], *, letters: str = "ABCD") -> list[float | None]:
    """1 where the final answer is the gold letter, else 0; None where the gold answer is none of the letters.

    The form of GPQA (Rein et al. 2023, arXiv 2311.12022). The letter may stand in brackets, in `\\text{}` or before its
    option's text ("B) Paris"); an answer that names two letters is wrong, and so is one without box, `<answer>` block
    or mark.

    Args:
        completions: (B,) texts.
        solution: (B,) letters, read as answers are.
        letters: the options.
    """
    scores: list[float | None] = []
    for text, gold in zip(completions, solution, strict=True):
        right = letter_of(gold_answer(gold), letters) if readable(gold) else None
        said = final_answer(text)
        scores.append(None if right is None else float(said is not None and letter_of(said, letters) == right))
    return scores


def letter_of(answer: str, letters: str = string.ascii_uppercase) -> str | None:
    """The one letter that an answer names; None for none, or for more than one."""
    if len(answer) > LONGEST:
        return None
    bare = COMMAND.sub(r"\1", answer).replace("*", "").strip().strip("$").strip()
    opening = OPENING.match(bare)
    bare = bare[opening.end() :] if opening else bare
    match = CHOSEN.fullmatch(bare)
    if match is None or match[1].upper() not in letters.upper():
        return None
    letter = match[1].upper()
    rest = "" if match[2] is None else bare[match.end(1) :].lstrip(")]. :-–—")  # a comma stays: it begins a list
    others = {other.upper() for found in OTHERS.findall(rest) for other in found if other}
    return letter if others & set(letters.upper()) <= {letter} else None


def exact(
    completions: list[str], solution: list[str | float | None], *, ignore_case: bool = True
) -> list[float | None]:
    """1 where the final answer is the gold one as a text or as a decimal number, else 0; None without a gold answer.

    Texts are compared without outer white space, `$` or `\\text{}`, inner white space made even. Numbers are compared
    by value: 1,234 is 1234.0 and 1e3 is 1000, but 1/2 is not 0.5; for that there is `accuracy`.

    Args:
        completions: (B,) texts.
        solution: (B,) gold answers; the box of a worked text, or what stands behind `####`, is found.
        ignore_case: whether Paris is paris.
    """
    scores: list[float | None] = []
    for text, gold in zip(completions, solution, strict=True):
        expected = gold_answer(gold) if readable(gold) else ""
        scores.append(float(same(final_answer(text), expected, ignore_case)) if expected else None)
    return scores


def same(answer: str | None, gold: str, ignore_case: bool) -> bool:
    """Whether two answers are equal as numbers or as texts."""
    if answer is None:
        return False
    number, ours = plain_number(gold), plain_number(answer)
    if number is not None and ours is not None:
        return number == ours
    if ignore_case:
        return folded(tidy(answer)) == folded(tidy(gold))
    return " ".join(tidy(answer).split()) == " ".join(tidy(gold).split())
