"""The numbers of a benchmark from its records: pass@1, pass@k, avg@n, maj@k and a contest's points, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r1lab.errors import DataError
from r1lab.evaluation.metrics import Estimate, estimate, majority_at_k, pass_at_k
from r1lab.evaluation.records import Problem, Record
from r1lab.rewards.choice import letter_of
from r1lab.rewards.math import folded
from r1lab.rewards.notation import tidy

RIGHT = "the gold answer"  # right answers agree with each other, however they are spelt


def measures(record: Record, ks: Sequence[int] = ()) -> dict[str, Estimate]:
    """Every number of a record, by its name.

    pass@1 is the mean over problems of the share of samples with full marks; avg@n the mean of the scores, which a
    scorer may give in parts; it is left out where they are no shares. pass@k and maj@k take the problems of which at
    least k samples were judged; maj@k only those with a gold answer, since programs do not vote. A contest gives
    `points`, the share of all points.

    Raises:
        DataError: no sample of any problem was judged.
    """
    judged = [problem for problem in record.problems if any(s.score is not None for s in problem.samples)]
    if not judged:
        why = next((s.reason for p in record.problems for s in p.samples if s.reason), "there are no samples")
        raise DataError(f"{record.benchmark}: no problem could be judged, so there is nothing to measure: {why}")
    if any(problem.points for problem in judged):
        return {"points": estimate([points_of(problem) for problem in judged])}
    found = {"pass@1": estimate([mean(rights(problem)) for problem in judged])}
    scores = [[s.score for s in problem.samples if s.score is not None] for problem in judged]
    if all(0.0 <= score <= 1.0 for row in scores for score in row):
        found[f"avg@{record.asked}"] = estimate([mean(row) for row in scores])
    for k in sorted({k for k in ks if k > 1}):
        for name, measure in (("pass", passed), ("maj", voted)):
            values = [value for problem in judged if (value := measure(problem, k)) is not None]
            if values:
                found[f"{name}@{k}"] = estimate(values)
    return found


def rights(problem: Problem) -> list[bool]:
    """Of the samples that were judged, whether each has full marks."""
    return [sample.right for sample in problem.samples if sample.right is not None]


def passed(problem: Problem, k: int) -> float | None:
    """pass@k of a problem; None of one with fewer than k judged samples."""
    right = rights(problem)
    return pass_at_k(len(right), sum(right), k) if len(right) >= k else None


def voted(problem: Problem, k: int) -> float | None:
    """maj@k of a problem; None of one with fewer than k judged samples, or without a gold answer."""
    right = rights(problem)
    if problem.gold is None or len(right) < k:
        return None
    answers = [
        RIGHT if sample.right else ballot(sample.answer, problem.gold)
        for sample in problem.samples
        if sample.right is not None
    ]
    return majority_at_k(answers, right, k)


def ballot(answer: str | None, gold: str) -> str | None:
    """A wrong answer as a vote: spellings of one count together; None does not vote, nor does an empty one."""
    if answer is None:
        return None
    if len(gold) == 1 and gold.isalpha():
        return letter_of(answer) or "".join(folded(tidy(answer)).split()) or None
    return "".join(folded(tidy(answer)).split()) or None


def points_of(problem: Problem) -> float:
    """The share of a contest problem's points: every subtask counts its best submission."""
    whole = sum(problem.points.values())
    best = {
        part: max((sample.parts.get(part, 0.0) for sample in problem.samples), default=0.0) for part in problem.points
    }
    return sum(best[part] * points for part, points in problem.points.items()) / whole


def total_points(record: Record) -> tuple[float, float]:
    """A contest's points, and how many there are."""
    whole = sum(sum(problem.points.values()) for problem in record.problems)
    return sum(points_of(problem) * sum(problem.points.values()) for problem in record.problems), whole


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)


def primary(found: dict[str, Any]) -> str:
    """The measure that a benchmark is known by."""
    return "points" if "points" in found else "pass@1"
