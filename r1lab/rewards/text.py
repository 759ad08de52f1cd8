"""Rewards that look at the form of a completion, and the control that looks at nothing."""

from __future__ import annotations

import random
import re
from importlib import import_module
from typing import Literal

from r1lab.errors import ConfigError, Finding

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FORMAT = re.compile(r"<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>\s*", re.DOTALL)
COUNTED = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")
STEP = re.compile(r"Step \d+:|^\d+\.|^[-*]|First,|Second,|Next,|Finally,", re.MULTILINE)
STEPS = 3


def format(completions: list[str]) -> list[float]:
    """1 where the whole completion is one `<think>` block and one `<answer>` block, each tag on a line of its own.

    Trailing white space is allowed, any other text before, between or after the blocks is not; each tag occurs once.
    """
    return [float(is_formatted(text)) for text in completions]


def think_format(completions: list[str]) -> list[float]:
    """`format` for templates whose prompt ends with `<think>` and a newline: the completion begins inside the block."""
    return [float(is_formatted(f"<think>\n{text}")) for text in completions]


def is_formatted(text: str) -> bool:
    """Whether `format` gives a text 1."""
    return all(text.count(tag) == 1 for tag in TAGS) and FORMAT.fullmatch(text) is not None


def tag_count(completions: list[str]) -> list[float]:
    """A quarter for each of the four tags that stands once, with its newlines; where it stands does not matter."""
    return [sum(text.count(tag) == 1 for tag in COUNTED) / len(COUNTED) for text in completions]


def reasoning_steps(completions: list[str]) -> list[float]:
    """Signs of steps, a third each, at most 1: "Step 1:", "1." and bullets at the start of a line, "First," …"""
    return [min(1.0, sum(1 for _ in STEP.finditer(text)) / STEPS) for text in completions]


class code_format:
    """1 where `format` is 1 and `<answer>` holds a whole fenced block of the language; a function with two `language`.

    A block opens with three back-quotes and the language's name and nothing else up to the end of the line, as the code
    rewards read it.

    Args:
        language: python, javascript, r, java, bash, cpp, or any other word behind the back-quotes.
    """

    def __init__(self, language: str = "python"):
        self.language = language

    def __call__(self, completions: list[str], language: list[str | None] | None = None) -> list[float]:
        """Score completions; a row's `language` goes before the parameter."""
        languages = language or [None] * len(completions)
        return [
            float(is_formatted(text) and has_block(text.rpartition("<answer>")[2], name or self.language))
            for text, name in zip(completions, languages, strict=True)
        ]


def has_block(text: str, language: str) -> bool:
    """Whether a text holds a closed fenced block of a language."""
    opening = re.search(rf"(?<!`)```{re.escape(language)}[ \t]*\n", text)
    return opening is not None and "```" in text[opening.end() :]


def repetition_penalty(
    completions: list[str], *, n_grams: int = 3, max_penalty: float = -1.0, language: Literal["en", "zh"] = "en"
) -> list[float]:
    """(1 − distinct n-grams / all n-grams) × max_penalty; 0 for a text with fewer words than n.

    Words are what white space separates, in lower case; of Chinese, what jieba separates. From Yeo et al. 2025,
    Demystifying Long Chain-of-Thought Reasoning (arXiv 2502.03373), appendix C.2.

    Raises:
        ConfigError: `max_penalty` is above 0, `n_grams` below 1, or the language is not known.
    """
    if max_penalty > 0:
        raise ConfigError([Finding(f"max_penalty={max_penalty} would reward repetition", fix="max_penalty=-1.0")])
    if n_grams < 1:
        raise ConfigError([Finding(f"n_grams={n_grams} is no length", fix="n_grams=3")])
    scores = []
    for text in completions:
        words = words_of(text, language)
        total = len(words) - n_grams + 1
        distinct = len(set(zip(*(words[start:] for start in range(n_grams)), strict=False)))
        scores.append((1 - distinct / total) * max_penalty if total > 0 else 0.0)
    return scores


def words_of(text: str, language: str) -> list[str]:
    """The words of a text.

    Raises:
        ConfigError: the language is not known, or its library is not there.
    """
    if language == "en":
        return text.lower().split()
    if language != "zh":
        raise ConfigError([Finding(f"language={language!r} is not known", fix="language=en or language=zh")])
    try:
        jieba = import_module("jieba")  # only Chinese needs it
    except ModuleNotFoundError as error:
        raise ConfigError([Finding("language=zh needs jieba", fix="pip install jieba")]) from error
    return list(jieba.cut(text))


def coin_flip(completions: list[str], *, p: float = 0.5) -> list[float]:
    """1 with probability `p`, else 0, whatever was written: what looks like learning under it is not learning.

    Draws from Python's global generator, whose state is part of every checkpoint.
    """
    return [float(random.random() < p) for _ in completions]
