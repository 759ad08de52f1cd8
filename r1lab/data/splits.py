"""What every dataset loader returns."""

from __future__ import annotations

from dataclasses import dataclass

from datasets import Dataset


@dataclass
class Splits:
    """Rows to train on, and rows that are only ever sampled to measure."""

    train: Dataset
    test: Dataset


def split_off(rows: Dataset, test: int, seed: int = 42) -> Splits:
    """Hold out `test` rows by a seeded shuffle, at most half of them."""
    held_out = min(test, len(rows) // 2)
    if held_out == 0:
        return Splits(rows, rows.select([]))
    parts = rows.train_test_split(test_size=held_out, seed=seed)
    return Splits(parts["train"], parts["test"])
