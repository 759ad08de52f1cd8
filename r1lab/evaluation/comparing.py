"""Two models on one benchmark: paired by problem, since a problem that is hard for one is hard for the other.

The difference is the mean over problems of the difference of their scores; its interval is Student's t for paired
values, or, where all differences are equal, the width that one more problem could make.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from r1lab.errors import DataError
from r1lab.evaluation.fingerprint import differing
from r1lab.evaluation.measures import mean, points_of
from r1lab.evaluation.metrics import exactly, t95
from r1lab.evaluation.records import Problem, Record


@dataclass(frozen=True)
class Comparison:
    """A against B.

    Attributes:
        benchmark: its name.
        difference: A's mean minus B's, over the problems that both have, as a share.
        low, high: its 95 % interval.
        problems: how many are paired.
        better, worse: of these, the ones that A has a higher and a lower score of.
        unpaired: problems that only one of them has.
        differing: in what the two results differ beside the model.
    """

    benchmark: str
    difference: float
    low: float
    high: float
    problems: int
    better: int
    worse: int
    unpaired: int
    differing: list[str]

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def sentence(self) -> str:
        """The comparison, to be read."""
        said = f"{self.benchmark}: {self.difference * 100:+.1f} points (95 % interval {self.low * 100:+.1f} to "
        said += f"{self.high * 100:+.1f}, {self.problems} problems, {self.better} better, {self.worse} worse): "
        said += (
            ("the first is better" if self.difference > 0 else "the second is better")
            if self.shown
            else ("no difference shown")
        )
        if self.unpaired:
            said += f"; {self.unpaired} problems that only one has are left out"
        return said + (f"; beside the model they differ in {', '.join(self.differing)}" if self.differing else "")


def compare(one: Record, other: Record) -> Comparison:
    """Compare two records of one benchmark, problem by problem.

    Raises:
        DataError: they are of different benchmarks, or share no problem.
    """
    if one.benchmark != other.benchmark:
        raise DataError(f"{one.benchmark} and {other.benchmark} are two benchmarks: nothing can be paired")
    ours, theirs = scores_of(one), scores_of(other)
    both = [name for name in ours if name in theirs]
    if not both:
        raise DataError(f"the two results of {one.benchmark} share no problem: are their ids from the same column?")
    differences = [exactly(ours[name] - theirs[name]) for name in both]
    centre, half = mean(differences), half_width(differences)
    return Comparison(
        benchmark=one.benchmark,
        difference=centre,
        low=max(-1.0, centre - half),
        high=min(1.0, centre + half),
        problems=len(both),
        better=sum(value > 0 for value in differences),
        worse=sum(value < 0 for value in differences),
        unpaired=len(ours.keys() ^ theirs.keys()),
        differing=differing(one.made_by, other.made_by),
    )


def scores_of(record: Record) -> dict[str, float]:
    """The score of every problem that was judged: the share of right samples, or of a contest's points."""
    return {problem.id: score for problem in record.problems if (score := score_of(problem)) is not None}


def score_of(problem: Problem) -> float | None:
    """One problem's score; None where no sample was judged."""
    right = [sample.right for sample in problem.samples if sample.right is not None]
    if not right:
        return None
    return points_of(problem) if problem.points else mean(right)


def half_width(differences: list[float]) -> float:
    """Half of the 95 % interval of the mean of paired differences, each from −1 to 1."""
    count = len(differences)
    if len(set(differences)) == 1:
        return 3 / count  # the rule of three: nothing else was seen in `count` problems
    centre = mean(differences)
    spread = sum((value - centre) ** 2 for value in differences)
    return t95(count - 1) * math.sqrt(spread / (count - 1) / count)
