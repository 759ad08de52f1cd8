"""A contest's problems: submissions made for single subtasks, each judged on every subtask of its problem.

As at the olympiad, a problem has a budget of submissions, and each of its subtasks counts the best of them. The budget
is shared evenly by the subtasks' prompts; round by round, the last subtask's submission goes first.

Source: open-r1/ioi (IOI 2024, 50 submissions per problem, as the contest allowed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1lab.engines.base import Completion, Sampling
from r1lab.evaluation.judging import judged
from r1lab.evaluation.questions import Question
from r1lab.evaluation.records import Problem, Sample
from r1lab.evaluators.samples import sample_of
from r1lab.rewards.base import Reward


def contest_record(
    folder: Path,
    reward: Reward,
    settings: Mapping[str, Any],
    asked: Sequence[Question],
    completions: Sequence[Sequence[Completion]],
    sampling: Sampling,
) -> list[Problem]:
    """The problems with their submissions in order, each with its score on every subtask.

    Args:
        folder, reward, settings: see `judging.judged`.
        asked: a question for each subtask.
        completions: of each question.
        sampling: how they were drawn.
    """
    problems = []
    for name in dict.fromkeys(item.id for item in asked):
        places = [i for i, item in enumerate(asked) if item.id == name]
        subtasks = [asked[i] for i in places]
        points = {item.part: item.points for item in subtasks}
        order = in_rounds([(i, index) for i in places for index in range(len(completions[i]))])
        items = [completions[i][index] for i, index in order]
        texts = [item.text for item in items if not item.error]
        marks = [iter(row) for row in judged(folder, reward, settings, subtasks, [texts] * len(subtasks))]
        samples = []
        for (i, index), item in zip(order, items, strict=True):
            found = sample_of("contest", asked[i], item, (None, item.error), sampling, index)
            if not item.error:
                found = with_marks(found, subtasks, [next(row) for row in marks])
            samples.append(found)
        problems.append(Problem(name, subtasks[-1].prompt[-1]["content"], None, tuple(samples), points))
    return problems


def with_marks(sample: Sample, subtasks: Sequence[Question], marks: Sequence[tuple[float | None, str]]) -> Sample:
    """A submission with its score on each subtask and the share of the problem's points that it has alone."""
    reason = next((why for score, why in marks if score is None), "")
    if reason:
        return replace(sample, reason=reason)
    parts = {item.part: float(score or 0.0) for item, (score, _) in zip(subtasks, marks, strict=True)}
    whole = sum(item.points for item in subtasks)
    return replace(sample, score=sum(parts[item.part] * item.points for item in subtasks) / whole, parts=parts)


def in_rounds(order: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Submissions round by round, the last subtask first."""
    return sorted(order, key=lambda item: (item[1], -item[0]))
