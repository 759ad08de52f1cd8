"""pass@1, pass@k and maj@k from n samples per problem, each with a 95 % interval over problems.

Problems are the independent units; samples of one problem are not. Intervals are Wilson's score interval (Wilson 1927,
JASA 22:209) for a proportion, with the effective sample size that the variance between problems implies (Kish 1965), so
that an all-right or all-wrong result still has a width. That variance is itself estimated, from few problems badly: the
size is taken times (z / t)², t of as many degrees of freedom (Korn and Graubard 1998, Survey Methodology 24:193).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval. `problems` is the number of independent units."""

    value: float
    low: float
    high: float
    problems: int

    def record(self, name: str) -> dict[str, float]:
        """The estimate as metrics: name, name_low and name_high."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Chance that at least one of k samples is right: 1 − C(n−c, k) / C(n, k), unbiased (Chen et al. 2021, eq. 1).

    Raises:
        ValueError: fewer samples than k.
    """
    if n < k:
        raise ValueError(f"pass@{k} needs {k} samples, there are {n}")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def majority(answers: Sequence[str | None], right: Sequence[bool]) -> float:
    """Chance that a vote among the answers is right: 1, 0, or the share of right ones among tied leaders.

    None does not vote; without a vote the result is 0.
    """
    votes: dict[str, int] = {}
    verdict: dict[str, bool] = {}
    for answer, ok in zip(answers, right, strict=True):
        if answer is not None:
            votes[answer] = votes.get(answer, 0) + 1
            verdict.setdefault(answer, ok)
    if not votes:
        return 0.0
    leaders = [answer for answer, count in votes.items() if count == max(votes.values())]
    return sum(verdict[answer] for answer in leaders) / len(leaders)


def majority_at_k(answers: Sequence[str | None], right: Sequence[bool], k: int) -> float:
    """The mean of `majority` over subsets of k samples: all of them up to 2,000, else disjoint blocks in order.

    Both are unbiased for a vote of k fresh samples.
    """
    n = len(answers)
    if n < k:
        raise ValueError(f"maj@{k} needs {k} samples, there are {n}")
    blocks: list[tuple[int, ...]]
    if math.comb(n, k) <= 2000:
        blocks = list(combinations(range(n), k))
    else:
        blocks = [tuple(range(start, start + k)) for start in range(0, n - k + 1, k)]
    return sum(majority([answers[i] for i in block], [right[i] for i in block]) for block in blocks) / len(blocks)


def wilson(share: float, size: float) -> tuple[float, float]:
    """Wilson's 95 % score interval for a share seen among `size` independent units."""
    if size <= 0:
        return 0.0, 1.0
    centre = (share + Z95**2 / (2 * size)) / (1 + Z95**2 / size)
    half = Z95 / (1 + Z95**2 / size) * math.sqrt(share * (1 - share) / size + Z95**2 / (4 * size**2))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def estimate(scores: Sequence[float]) -> Estimate:
    """The mean of one score per problem, each in [0, 1], with its interval.

    Raises:
        ValueError: no problem was scored.
    """
    count = len(scores)
    if count == 0:
        raise ValueError("no problem was scored")
    exact = sum((Fraction(score) for score in scores), Fraction(0)) / count
    mean, size = float(exact), float(count)
    if len({exactly(score) for score in scores}) > 1:
        spread = sum((score - mean) ** 2 for score in scores) / (count - 1)
        size = max(size, mean * (1 - mean) / (spread / count) * (Z95 / t95(count - 1)) ** 2)
    low, high = wilson(mean, size)
    return Estimate(mean, low, high, count)


def exactly(value: float) -> float:
    """A share without the noise of its arithmetic: 0.1 + 0.2 and 0.3 are one value, and no spread."""
    return round(value, 12)


@cache
def t95(freedom: int) -> float:
    """The 97.5 % point of Student's t: its distribution by Simpson's rule, turned round by bisection."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def above(point: float, steps: int = 400) -> float:
        """The chance of more than a point: 1/2 minus the integral from 0 on, over x = tan(u), where it has an end."""
        width = math.atan(point / math.sqrt(freedom)) / steps
        heights = [math.cos(i * width) ** (freedom - 1) for i in range(steps + 1)]
        inner = heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2])
        return 0.5 - scale * math.sqrt(freedom) * inner * width / 3

    low, high = 1.9, 13.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > 0.025 else (low, middle)
    return (low + high) / 2
