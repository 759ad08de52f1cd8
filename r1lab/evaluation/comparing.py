"""Two models on one benchmark: paired by problem, since a problem that is hard for one is hard for the other.

The difference is the mean over problems of the difference of their scores; its interval is Student's t for paired
values, or, where all differences are equal, the width that problems which were not seen could make. With fewer than six
problems that went differently nothing is shown, whatever the interval says: were the two equally good, each difference
could as well have had the other sign, and five of one sign happen one time in sixteen (Fisher 1935, sections 18 to 21).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from r1lab.errors import DataError
from r1lab.evaluation.fingerprint import differing
from r1lab.evaluation.measures import mean, points_of
from r1lab.evaluation.metrics import exactly, t95
from r1lab.evaluation.records import Problem, Record
from r1lab.wording import plural

LEAST = 6  # problems that went differently: 2 / 2**6 is below 0.05, 2 / 2**5 is not


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
        unjudged: problems that both have, of which one of them could judge no sample.
        regolded: of the pairs, those whose gold answers differ.
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
    unjudged: int
    regolded: int
    differing: list[str]

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0, and enough problems went differently."""
        return (self.low > 0 or self.high < 0) and self.better + self.worse >= LEAST

    def sentence(self) -> str:
        """The comparison, to be read."""
        said = f"{self.benchmark}: {self.difference * 100:+.1f} points (95 % interval {self.low * 100:+.1f} to "
        said += (
            f"{self.high * 100:+.1f}, {plural(self.problems, 'problem')}, {self.better} better, {self.worse} worse): "
        )
        said += (
            ("the first is better" if self.difference > 0 else "the second is better")
            if self.shown
            else ("no difference shown")
        )
        if not self.shown and (self.low > 0 or self.high < 0):
            said += f", since fewer than {LEAST} problems went differently"
        if self.unpaired:
            said += f"; {plural(self.unpaired, 'problem')} that only one has {be(self.unpaired)} left out"
        if self.unjudged:
            said += (
                f"; {plural(self.unjudged, 'problem')} that one of them could not judge {be(self.unjudged)} left out"
            )
        if self.regolded:
            said += (
                f"; {plural(self.regolded, 'pair')} of problems {be(self.regolded)} judged by different gold answers"
            )
        return said + (f"; beside the model they differ in {', '.join(self.differing)}" if self.differing else "")


def be(count: int) -> str:
    """Its verb after so many."""
    return "is" if count == 1 else "are"


def compare(one: Record, other: Record) -> Comparison:
    """Compare two records of one benchmark, problem by problem.

    Raises:
        DataError: they are of different benchmarks, or share no problem that both could judge.
    """
    if one.benchmark != other.benchmark:
        raise DataError(f"{one.benchmark} and {other.benchmark} are two benchmarks: nothing can be paired")
    both = paired(one.problems, other.problems)
    if not both:
        raise DataError(f"the two results of {one.benchmark} share no problem: are their ids from the same column?")
    scored = [(score_of(ours), score_of(theirs)) for ours, theirs in both]
    differences = [exactly(a - b) for a, b in scored if a is not None and b is not None]
    if not differences:
        told = f"of {plural(len(both), 'problem')} that they share"
        raise DataError(f"the two results of {one.benchmark}: {told}, none was judged in both")
    centre, half = mean(differences), half_width(differences)
    return Comparison(
        benchmark=one.benchmark,
        difference=centre,
        low=max(-1.0, centre - half),
        high=min(1.0, centre + half),
        problems=len(differences),
        better=sum(value > 0 for value in differences),
        worse=sum(value < 0 for value in differences),
        unpaired=len(one.problems) + len(other.problems) - 2 * len(both),
        unjudged=len(both) - len(differences),
        regolded=sum(ours.gold != theirs.gold for ours, theirs in both),
        differing=differing(one.made_by, other.made_by),
    )


def paired(ours: Iterable[Problem], theirs: Iterable[Problem]) -> list[tuple[Problem, Problem]]:
    """Problems of two results that are the same ones, in the order of the first.

    Those of one id are first paired by their gold answer, then in their order: a dataset may ask a thing twice, with
    one answer or with several.
    """
    ours, rest = list(ours), list(theirs)
    found: dict[int, Problem] = {}
    for by_gold in (True, False):
        waiting: defaultdict[Hashable, list[Problem]] = defaultdict(list)
        for item in rest:
            waiting[item.id, item.gold if by_gold else None].append(item)
        for place, item in enumerate(ours):
            same = waiting[item.id, item.gold if by_gold else None]
            if place not in found and same:
                found[place] = same.pop(0)
        taken = {id(item) for item in found.values()}
        rest = [item for item in rest if id(item) not in taken]
    return [(ours[place], found[place]) for place in sorted(found)]


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
        unseen = 1 - 0.025 ** (1 / count)  # the most of all problems that may be otherwise: none of `count` was
        return unseen * max(1.0, 2 * abs(differences[0]))  # by as much to the other side, or to either side from 0
    centre = mean(differences)
    spread = sum((value - centre) ** 2 for value in differences)
    return t95(count - 1) * math.sqrt(spread / (count - 1) / count)
