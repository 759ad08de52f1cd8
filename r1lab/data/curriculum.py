"""A curriculum: problems in the order of their difficulty, told by pass rates that an earlier model had on them.

Pass rates come from `task=filter`, or from any column with numbers from 0 (never solved) to 1 (always). The order is
blurred by noise, so that neighbours in difficulty mix and a batch does not hold twins.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from datasets import Dataset

from r1lab.errors import DataError

Order = Literal["easy_first", "hard_first"]


def ordered(rows: Dataset, column: str, order: Order = "easy_first", noise: float = 0.1, seed: int = 42) -> Dataset:
    """Rows by pass rate, the easiest or the hardest first.

    Args:
        rows: the training rows.
        column: holds pass rates from 0 to 1.
        order: which end comes first.
        noise: how far a row may stray from its rank, as a share of all rows (standard deviation); 0 is strict.
        seed: of the noise, and of the order among equals.

    Raises:
        DataError: there is no such column, or a row's value is no pass rate.
    """
    if column not in rows.column_names:
        fix = f"its columns: {', '.join(rows.column_names)}"
        raise DataError(f"task.curriculum.column={column}: the dataset has no such column\n    fix      {fix}")
    rates = rows[column][:]
    for place, rate in enumerate(rates):
        number = isinstance(rate, int | float) and not isinstance(rate, bool) and math.isfinite(rate)
        if not number or not 0 <= rate <= 1:
            raise DataError(f"task.curriculum.column={column}: row {place} has {rate!r}, no pass rate from 0 to 1")
    dice = np.random.default_rng(seed)
    difficulty = -np.asarray(rates, dtype=float) if order == "easy_first" else np.asarray(rates, dtype=float)
    rank = np.empty(len(rows))
    rank[np.lexsort((dice.random(len(rows)), difficulty))] = np.arange(len(rows))
    blurred = rank + noise * len(rows) * dice.standard_normal(len(rows))
    return rows.select(np.argsort(blurred, kind="stable").tolist())
