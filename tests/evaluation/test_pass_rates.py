"""The band's probability against enumeration and simulation."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from random import Random

import pytest

from r1lab.evaluation.pass_rates import Band


def by_urn(band: Band, right: int, seen: int) -> Fraction:
    """The same probability by Polya's urn, draw by draw: each right one makes the next likelier."""
    total = Fraction(0)
    for draws in product((0, 1), repeat=band.n - seen):
        chance, k, m = Fraction(1), right, seen
        for draw in draws:
            rate = Fraction(k + 1, m + 2)
            chance *= rate if draw else 1 - rate
            k, m = k + draw, m + 1
        if band.low < k / band.n < band.high:
            total += chance
    return total


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (0.1, 0.6), (0.0, 1.0), (0.5, 0.6)])
def test_against_the_urn(low, high):
    band = Band(low, high, 8)
    for seen in range(9):
        for right in range(seen + 1):
            assert band.probability(right, seen) == pytest.approx(float(by_urn(band, right, seen)), abs=1e-12)


def test_what_cannot_change_any_more():
    band = Band(0.2, 0.8, 8)
    assert [band.clear(k, 8, 1.0) for k in range(9)] == [False, False, True, True, True, True, True, False, False]
    assert band.clear(2, 4, 1.0) is True  # 2 to 6 of 8
    assert band.clear(1, 4, 1.0) is None
    assert band.clear(7, 7, 1.0) is False
    assert Band(0.2, 0.8, 8).clear(0, 0, 0.5) is True  # five of nine counts are inside


def test_decisions_keep_their_word():
    """Over problems with rates drawn as the prior says, decisions at 0.9 agree with all samples nine times in ten."""
    dice, band, wrong, decided, samples = Random(0), Band(0.2, 0.8, 16), 0, 4000, 0
    for _ in range(decided):
        rate = dice.random()
        draws = [dice.random() < rate for _ in range(16)]
        for seen in range(2, 17):
            decision = band.clear(sum(draws[:seen]), seen, 0.9)
            if decision is not None:
                samples += seen
                wrong += decision != band.holds(sum(draws) / 16)
                break
    assert wrong / decided < 0.1
    assert samples / decided < 0.6 * 16


def test_impossible_counts():
    with pytest.raises(ValueError, match="3 right of 2"):
        Band(0, 1, 8).probability(3, 2)
