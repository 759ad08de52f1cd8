"""Whether a problem's pass rate lies in a band, told from fewer samples than the full number where they suffice.

A problem is kept if `low` < mean < `high` over n samples, each right or wrong. Let K of the n be right. Samples of one
problem are exchangeable, so that, whatever its true rate, the first m of them are a draw without replacement from K
right and n − K wrong ones. The chance of passing through (m samples, k right) without having stopped before is

    P(m, k | K) = W(m, k) · C(n − m, K − k) / C(n, K),    W: orders of k among m that pass no earlier stop,

so that every chance of a stopping rule is known exactly, for each K. The rule here stops at (m, k) where what is still
to come cannot change the place; and, from the fewest samples on, wherever the sum over all stops of the chance of
deciding otherwise than all n samples would stays within 1 − confidence for every K from 0 to n. That holds for each
problem, with no assumption about its rate or about how rates are spread, however often one looks.

Source: sequential tests by exact paths, as in Jennison and Turnbull, Group Sequential Methods (1999), chapter 12;
sampling without replacement in place of a known rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb


@dataclass(frozen=True)
class Band:
    """Pass rates strictly between two bounds, over n samples."""

    low: float
    high: float
    n: int

    def holds(self, rate: float) -> bool:
        """Whether a mean over all samples is inside."""
        return self.low < rate < self.high


class Stopping:
    """After how many samples of a problem its place is clear.

    Args:
        band: the band and the full number of samples.
        confidence: the least chance, for any problem, of deciding as all n samples would; 1: only what cannot change
            any more stops.
        looks: numbers of samples after which one looks, ascending; None: after each.

    Raises:
        ValueError: the confidence is not from 0 to 1, or the looks do not fit.
    """

    def __init__(self, band: Band, confidence: float, looks: list[int] | None = None):
        if not 0 < confidence <= 1:
            raise ValueError(f"confidence={confidence}: it is above 0 and at most 1")
        self.band, self.confidence = band, confidence
        n = band.n
        self.looks = [look for look in looks or range(1, n + 1) if look < n] + [n]
        if self.looks != sorted(set(self.looks)) or self.looks[0] < 1:
            raise ValueError(f"looks={looks}: ascending numbers of samples from 1 on")
        self.inside = [band.holds(total / n) for total in range(n + 1)]
        self.stops: dict[tuple[int, int], bool] = {}  # samples, right → the decision
        self.errors = [Fraction(0)] * (n + 1)  # by how many of all n are right: chance of deciding otherwise
        self.expected = [Fraction(0)] * (n + 1)  # likewise: samples taken
        self._walk(Fraction(1) - Fraction(confidence).limit_denominator(10**9))

    def decide(self, right: int, seen: int) -> bool | None:
        """Whether the problem is inside: True or False once that is clear enough, None before.

        Raises:
            ValueError: more right than seen, or more seen than n.
        """
        if not 0 <= right <= seen <= self.band.n:
            raise ValueError(f"{right} right of {seen} seen of {self.band.n}")
        return self.stops.get((seen, right))

    def _walk(self, allowed: Fraction) -> None:
        n = self.band.n
        ways = {0: 1}
        for seen in range(1, n + 1):
            ways = {k: ways.get(k, 0) + ways.get(k - 1, 0) for k in range(seen + 1) if k in ways or k - 1 in ways}
            if seen not in self.looks:
                continue
            open_states = []
            for right, count in ways.items():
                chances = {
                    total: Fraction(count * comb(n - seen, total - right), comb(n, total))
                    for total in range(right, right + n - seen + 1)
                }
                for decision in (True, False):
                    wrong = {total: chance for total, chance in chances.items() if self.inside[total] != decision}
                    open_states.append((max(wrong.values(), default=Fraction(0)), right, decision, wrong, chances))
            for _, right, decision, wrong, chances in sorted(open_states, key=lambda item: item[:3]):
                if right in ways and all(self.errors[total] + chance <= allowed for total, chance in wrong.items()):
                    self.stops[seen, right] = decision
                    del ways[right]
                    for total, chance in wrong.items():
                        self.errors[total] += chance
                    for total, chance in chances.items():
                        self.expected[total] += chance * seen
