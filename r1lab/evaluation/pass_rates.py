"""Whether a problem's pass rate will fall into a band, told from fewer samples than the full number.

A problem is kept if `low` < mean < `high` over n samples of which each is right or wrong. After m of them with k right,
and a uniform prior on the true rate, the number of right ones among the n − m to come is beta-binomial:

    P(j more | k of m) = C(n−m, j) · B(k+1+j, m−k+1+n−m−j) / B(k+1, m−k+1)

A problem whose place is clear at a stated confidence needs no further samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, exp, lgamma


@dataclass(frozen=True)
class Band:
    """Pass rates strictly between two bounds, over n samples."""

    low: float
    high: float
    n: int

    def holds(self, rate: float) -> bool:
        """Whether a mean over all samples is inside."""
        return self.low < rate < self.high

    def probability(self, right: int, seen: int) -> float:
        """The probability that the mean over n samples will be inside, after `right` of `seen`.

        Raises:
            ValueError: more right than seen, or more seen than n.
        """
        if not 0 <= right <= seen <= self.n:
            raise ValueError(f"{right} right of {seen} seen of {self.n}")
        left = self.n - seen
        return sum(
            _predictive(more, left, right, seen) for more in range(left + 1) if self.holds((right + more) / self.n)
        )

    def clear(self, right: int, seen: int, confidence: float) -> bool | None:
        """Whether the mean will be inside: True or False once that is sure enough, None before.

        Args:
            confidence: 0.95: one decision in twenty may turn out otherwise; 1: only what cannot change any more.
        """
        inside = self.probability(right, seen)
        if inside >= confidence - 1e-12:
            return True
        return False if 1 - inside >= confidence - 1e-12 else None


def _predictive(more: int, left: int, right: int, seen: int) -> float:
    """The beta-binomial probability of `more` right ones among `left`."""
    a, b = right + 1, seen - right + 1
    return comb(left, more) * exp(_log_beta(a + more, b + left - more) - _log_beta(a, b))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
