"""A scorer's marks of completions, kept on disk as soon as they are there: a killed evaluation judges none twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1lab.evaluation.kept import kept
from r1lab.evaluation.questions import Question
from r1lab.rewards.base import Failure, Reward

Judged = tuple[float | None, str]  # the score, or None with the reason
UNVERIFIABLE = "the scorer cannot verify this problem"


def judged(
    folder: Path, reward: Reward, settings: Any, questions: Sequence[Question], texts: Sequence[Sequence[str]]
) -> list[list[Judged]]:
    """The scores of some problems' completions.

    Args:
        folder: where they are kept, by everything that they depend on.
        reward: the scorer.
        settings: of the scorer, as JSON values.
        questions: (Q,) the problems.
        texts: (Q, n) completions of each; their numbers may differ.

    Raises:
        RewardError: the scorer broke its contract, or too much of its machinery failed.
    """
    columns = sorted(reward.takes & {name for question in questions for name in question.columns})
    each = [
        ([question.columns.get(name) for name in columns], list(row))
        for question, row in zip(questions, texts, strict=True)
    ]

    def judge() -> tuple[list[Judged], bool]:
        flat = [text for row in texts for text in row]
        given: Mapping[str, Any] = {
            name: [values[place] for values, row in each for _ in row] for place, name in enumerate(columns)
        }
        marks = reward.judge(flat, **given) if flat else []
        reward.refuse_failures(marks)
        return [of_mark(mark) for mark in marks], not any(isinstance(mark, Failure) for mark in marks)

    return split([(score, why) for score, why in kept(folder, [settings, *each], judge)], texts)


def of_mark(mark: float | Failure | None) -> Judged:
    """A mark as it is kept."""
    if isinstance(mark, Failure):
        return None, f"the scorer failed: {mark.reason}"
    return (None, UNVERIFIABLE) if mark is None else (mark, "")


def split(flat: Sequence[Judged], like: Sequence[Sequence[str]]) -> list[list[Judged]]:
    """The flat list in rows as long as those of `like`."""
    rest = iter(flat)
    return [[next(rest) for _ in row] for row in like]
