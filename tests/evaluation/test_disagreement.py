"""Tables of two rewards' scores against counts by hand and against numpy."""

from __future__ import annotations

import random

import numpy as np
import pytest

from r1lab.evaluation.disagreement import compare, correlation, worst


def test_a_table_counted_by_hand() -> None:
    first = [1.0, 1.0, 0.0, 0.0, None, 1.0]
    second = [1.0, 0.0, 1.0, 0.0, 1.0, None]
    table = compare(("a", "b"), first, second, (1.0, 1.0))
    assert table.rows == ["1", "0", "not scored"] and table.columns == ["1", "0", "not scored"]
    assert table.counts == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert table.means == (3 / 5, 3 / 5)
    assert (table.both, table.passed, table.differ) == (4, (1, 1, 1, 1), 2)
    assert table.correlation == 0.0
    assert worst(first, second, (1.0, 1.0)) == [1, 2]


def test_many_values_become_those_that_pass_and_those_that_do_not() -> None:
    second = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    table = compare(("a", "b"), [0.0, 1.0] * 3, second, (1.0, 0.5))
    assert table.columns == ["≥ 0.5", "< 0.5"]
    assert table.counts == [[1, 2], [1, 2]]
    assert table.passed == (1, 2, 1, 2)
    assert worst([0.0, 1.0] * 3, second, (1.0, 0.5)) == [1, 3, 4]  # 0.8, 0.6 and 0.5 apart


def test_correlation_is_numpys_and_none_without_a_spread() -> None:
    dice = random.Random(3)
    pairs = [(dice.random(), dice.gauss(0, 2)) for _ in range(200)]
    assert correlation(pairs) == pytest.approx(np.corrcoef(*zip(*pairs, strict=True))[0, 1])
    assert correlation([(1.0, 2.0), (1.0, 3.0)]) is None
    assert correlation([(1.0, 2.0)]) is None and correlation([]) is None


def test_nothing_scored_has_no_mean() -> None:
    table = compare(("a", "b"), [None, None], [1.0, 0.0], (1.0, 1.0))
    assert table.means == (None, 0.5) and table.both == 0 and table.correlation is None
    assert table.counts == [[1, 1]] and table.rows == ["not scored"]
