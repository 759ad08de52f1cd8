"""Rewards that look at how long a completion is, some of them at whether it is right as well."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

from r1lab.errors import ConfigError, Finding
from r1lab.rewards.base import Mark
from r1lab.rewards.math import Verdict, verdicts


def length(
    completions: list[str],
    solution: list[str | float | None],
    prompts: list[Any] | None = None,
    *,
    workers: int | None = None,
) -> list[Mark]:
    """λ = 0.5 − (len − min) / (max − min) for a right answer, min(0, λ) for a wrong one, 0 where all are equally long.

    Kimi k1.5 (Kimi Team 2025, arXiv 2501.12599, section 2.3.3). Lengths are in characters; min and max are those of the
    completions of one prompt. None where the gold answer cannot be read.

    Args:
        completions: (B,) texts.
        solution: (B,) gold answers, read as `accuracy` reads them.
        prompts: (B,) equal ones in a row are one group; without them the whole call is.
        workers: as for `accuracy`.
    """
    right = verdicts(completions, solution, workers)
    groups = prompts if prompts is not None else [None] * len(completions)
    marks: list[Mark] = []
    for _, places in groupby(range(len(completions)), key=lambda place: groups[place]):
        group = list(places)
        lengths = [len(completions[place]) for place in group]
        marks += [scaled(right[place], len(completions[place]), min(lengths), max(lengths)) for place in group]
    return marks


def scaled(right: Verdict, own: int, shortest: int, longest: int) -> Mark:
    """One completion's `length`."""
    if not isinstance(right, bool):
        return right
    if shortest == longest:
        return 0.0
    value = 0.5 - (own - shortest) / (longest - shortest)
    return value if right else min(0.0, value)


def cosine(
    completions: list[str],
    solution: list[str | float | None],
    *,
    max_value_correct: float = 1.0,
    min_value_correct: float = 0.5,
    min_value_wrong: float = 0.0,
    max_value_wrong: float = -0.5,
    max_len: int = 1000,
    workers: int | None = None,
) -> list[Mark]:
    """Right answers fall from `max_value_correct` to `min_value_correct`, wrong ones go from `min_value_wrong` to
    `max_value_wrong`, along half a cosine of length / max_len; from max_len on, the value stays.

    Yeo et al. 2025, Demystifying Long Chain-of-Thought Reasoning (arXiv 2502.03373), section 4.2, with Open-R1's
    parameters. None where the gold answer cannot be read.

    Args:
        completions: (B,) texts.
        solution: (B,) gold answers, read as `accuracy` reads them.
        max_len: in characters.
        workers: as for `accuracy`.

    Raises:
        ConfigError: `max_len` is below 1.
    """
    if max_len < 1:
        raise ConfigError([Finding(f"max_len={max_len} is no length", fix="max_len=1000")])
    marks: list[Mark] = []
    for text, right in zip(completions, verdicts(completions, solution, workers), strict=True):
        if not isinstance(right, bool):
            marks.append(right)
            continue
        short, long = (max_value_correct, min_value_correct) if right else (min_value_wrong, max_value_wrong)
        marks.append(curve(len(text), short, long, max_len))
    return marks


def curve(own: int, short: float, long: float, max_len: int) -> float:
    """Half a cosine from `short` at length 0 to `long` at max_len and beyond."""
    return long + 0.5 * (short - long) * (1.0 + math.cos(math.pi * min(1.0, own / max_len)))


def soft_overlong_punishment(
    completions: list[str],
    completion_ids: list[list[int]] | None = None,
    *,
    max_completion_len: int = 16384,
    soft_punish_cache: int = 4096,
) -> list[float | None]:
    """0 up to max_completion_len − soft_punish_cache tokens, down to −1 at max_completion_len, −1 beyond.

    DAPO (Yu et al. 2025, arXiv 2503.14476), equation 13. None where the tokens are not known.

    Args:
        completions: (B,) texts.
        completion_ids: (B,) tokens of each, as the trainer gives them, the end token included.

    Raises:
        ConfigError: the cache is below 0 or above the whole length.
    """
    if not 0 <= soft_punish_cache <= max_completion_len:
        what = f"soft_punish_cache={soft_punish_cache} is no part of max_completion_len={max_completion_len}"
        raise ConfigError([Finding(what, fix=f"soft_punish_cache={max_completion_len // 4}")])
    if completion_ids is None:
        return [None] * len(completions)
    free = max_completion_len - soft_punish_cache
    scores: list[float | None] = []
    for ids in completion_ids:
        tokens = -1 if ids is None else len(ids)
        if tokens <= free:
            scores.append(None if ids is None else 0.0)
        else:
            scores.append((free - tokens) / soft_punish_cache if tokens <= max_completion_len else -1.0)
    return scores
