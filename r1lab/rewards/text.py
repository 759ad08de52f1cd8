"""Rewards that look at the form of a completion, and the control that looks at nothing."""

from __future__ import annotations

import random
import re

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FORMAT = re.compile(r"<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>\s*", re.DOTALL)


def format(completions: list[str]) -> list[float]:
    """1 where the whole completion is one `<think>` block and one `<answer>` block, each tag on a line of its own.

    Trailing white space is allowed, any other text before, between or after the blocks is not; each tag occurs once.
    """
    once = [all(text.count(tag) == 1 for tag in TAGS) for text in completions]
    return [float(ok and FORMAT.fullmatch(text) is not None) for ok, text in zip(once, completions, strict=True)]


def coin_flip(completions: list[str], *, p: float = 0.5) -> list[float]:
    """1 with probability `p`, else 0, whatever was written: what looks like learning under it is not learning.

    Draws from Python's global generator, whose state is part of every checkpoint.
    """
    return [float(random.random() < p) for _ in completions]
