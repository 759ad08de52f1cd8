"""pass@1, pass@k and maj@k from n samples per problem, each with a 95 % interval over problems.

Problems are the independent units; samples of one problem are not. Intervals are Wilson's score interval (Wilson 1927,
JASA 22:209) for a proportion, with the effective sample size that the variance between problems implies (Kish 1965), so
that an all-right or all-wrong result still has a width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
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
    mean = float(exact)
    spread = sum((score - mean) ** 2 for score in scores) / max(1, count - 1)
    size = mean * (1 - mean) / (spread / count) if spread > 0 else float(count)
    low, high = wilson(mean, max(size, float(count)) if 0 < mean < 1 else float(count))
    return Estimate(mean, low, high, count)
