"""The order of a curriculum, counted by hand and in ranks."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from r1lab.data.curriculum import ordered
from r1lab.errors import DataError

RATES = [0.5, 1.0, 0.0, 0.75, 0.25]


def rows(rates):
    return Dataset.from_dict({"problem": [str(i) for i in range(len(rates))], "pass_rate": rates})


def test_a_strict_order():
    easy = ordered(rows(RATES), "pass_rate", noise=0)
    assert easy["pass_rate"][:] == sorted(RATES, reverse=True)
    assert easy["problem"][:] == ["1", "3", "0", "4", "2"]
    hard = ordered(rows(RATES), "pass_rate", "hard_first", noise=0)
    assert hard["pass_rate"][:] == sorted(RATES)


def test_equals_are_shuffled_by_seed():
    same = rows([0.5] * 20)
    first, again, other = (ordered(same, "pass_rate", noise=0, seed=seed)["problem"][:] for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(same["problem"][:])


def test_noise_blurs_but_keeps_the_trend():
    many = rows(np.linspace(0, 1, 500).tolist())
    blurred = np.array(ordered(many, "pass_rate", noise=0.1)["pass_rate"][:])
    correlation = np.corrcoef(np.arange(500), blurred)[0, 1]
    assert -0.98 < correlation < -0.9  # 1/sqrt(1 + 12 * 0.01) = 0.945
    assert ordered(many, "pass_rate", noise=0)["pass_rate"][:] != blurred.tolist()


@pytest.mark.parametrize("bad", [None, 1.5, -0.1, float("nan")])
def test_values_that_are_no_pass_rates(bad):
    with pytest.raises(DataError, match=r"row 1 has .*no pass rate from 0 to 1"):
        ordered(rows([0.5, bad]), "pass_rate")


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="its columns: problem, pass_rate"):
        ordered(rows(RATES), "rate")
