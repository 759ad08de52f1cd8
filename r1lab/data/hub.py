"""Rows from a dataset of the Hub."""

from __future__ import annotations

from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetsError

from r1lab.data.splits import Splits, split_off
from r1lab.errors import DataError


def load(
    *,
    repo: str | None = None,
    revision: str | None = None,
    config: str | None = None,
    split: str = "train",
    test: int = 400,
) -> Splits:
    """Load one split of a Hub dataset and hold out `test` of its rows, the same ones whatever the run's seed.

    Raises:
        DataError: the Hub does not give it.
    """
    try:
        rows = load_dataset(repo or "", config, revision=revision, split=split)
    except (OSError, ValueError, DatasetsError) as error:
        raise DataError(f"dataset.repo={repo} cannot be loaded: {error}") from error
    assert isinstance(rows, Dataset)
    return split_off(rows, test)
