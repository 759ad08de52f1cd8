"""The stopping rule against every order of samples, and against problems whose rates are as a model's are."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from random import Random

import pytest

from r1lab.evaluation.pass_rates import Band, Stopping
from r1lab.generation.rates import looks_of


def walked(rule: Stopping, draws: list[bool]) -> tuple[bool, int]:
    """The decision about a problem and the samples that it took."""
    for seen in rule.looks:
        decision = rule.decide(sum(draws[:seen]), seen)
        if decision is not None:
            return decision, seen
    raise AssertionError("all samples decide")


@pytest.mark.parametrize(
    ("low", "high", "n"), [(0.2, 0.8, 8), (0.1, 0.6, 8), (0.0, 1.0, 7), (0.3, 2.0, 10), (0.5, 0.55, 6)]
)
@pytest.mark.parametrize("confidence", [1.0, 0.95, 0.8])
@pytest.mark.parametrize("every", [1, 3])
def test_errors_and_samples_are_those_of_all_orders(low, high, n, confidence, every):
    """For each number of right samples, over every order in which they may come."""
    band = Band(low, high, n)
    rule = Stopping(band, confidence, [*range(every, n, every), n])
    for total in range(n + 1):
        ends = [walked(rule, [i in places for i in range(n)]) for places in combinations(range(n), total)]
        wrong = sum(decision != band.holds(total / n) for decision, _ in ends)
        assert rule.errors[total] == Fraction(wrong, len(ends)) <= Fraction(1) - Fraction(str(confidence))
        assert rule.expected[total] == Fraction(sum(seen for _, seen in ends), len(ends))


def test_what_cannot_change_any_more():
    rule = Stopping(Band(0.2, 0.8, 8), 1.0)
    assert {k: rule.decide(k, 8) for k in (1, 2, 6, 7)} == {1: False, 2: True, 6: True, 7: False}
    assert rule.decide(4, 8) is None  # four of eight were clear before
    assert rule.decide(2, 4) is True  # 2 to 6 of 8
    assert rule.decide(1, 4) is None
    assert rule.decide(7, 7) is False
    assert rule.decide(0, 6) is None  # two of eight may still come
    assert set(rule.errors) == {0}


def test_by_hand():
    """Six zeros of eight: were two right, both would be the last, one order of 28; so at 0.95 it stops, at 0.97 not."""
    assert Stopping(Band(0.2, 0.8, 8), 0.95).decide(0, 6) is False
    assert Stopping(Band(0.2, 0.8, 8), 0.95).errors[2] == Fraction(1, 28)
    assert Stopping(Band(0.2, 0.8, 8), 0.97).decide(0, 6) is None


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.6, 0.75, 0.97])
def test_the_confidence_holds_whatever_the_rate(rate):
    """20,000 problems of one rate: decisions that differ from all 16 samples' are within what is allowed."""
    dice, band = Random(int(1000 * rate)), Band(0.2, 0.8, 16)
    rule = Stopping(band, 0.9, looks_of(16))
    wrong = taken = 0
    for _ in range(20_000):
        draws = [dice.random() < rate for _ in range(16)]
        decision, seen = walked(rule, draws)
        wrong, taken = wrong + (decision != band.holds(sum(draws) / 16)), taken + seen
    assert wrong / 20_000 < 0.1 + 4 * (0.1 * 0.9 / 20_000) ** 0.5
    assert taken / 20_000 < 16


def test_it_saves_most_where_rates_are_extreme():
    loose, strict = (Stopping(Band(0.1, 0.6, 64), confidence, looks_of(64)) for confidence in (0.95, 1.0))
    assert loose.expected[0] + loose.expected[64] < Fraction(3, 10) * 128
    assert all(a <= b for a, b in zip(loose.expected, strict.expected, strict=True))


def test_looks():
    assert looks_of(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert looks_of(64) == [*range(4, 64, 4), 64]
    assert looks_of(1) == [1]
    assert Stopping(Band(0.2, 0.8, 8), 0.95, [4]).looks == [4, 8]


def test_what_is_no_question():
    with pytest.raises(ValueError, match="3 right of 2"):
        Stopping(Band(0, 1, 8), 1.0).decide(3, 2)
    for confidence in (0, 1.5):
        with pytest.raises(ValueError, match="confidence="):
            Stopping(Band(0, 1, 8), confidence)
    for looks in ([0, 3], [4, 2], [2, 2]):
        with pytest.raises(ValueError, match="looks="):
            Stopping(Band(0, 1, 8), 1.0, looks)
