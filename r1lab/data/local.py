"""Rows from a file of the user's own."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetsError

from r1lab.data.splits import Splits, split_off
from r1lab.errors import DataError

BUILDERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}


def load(*, path: str | None = None, test_path: str | None = None, test: int = 400, seed: int = 42) -> Splits:
    """Read json, jsonl, csv or parquet.

    Args:
        path: the rows to train on.
        test_path: the held-out rows; without it, `test` rows are split off `path`.
        test: rows to hold out, at most half.
        seed: the split's shuffle.

    Raises:
        DataError: a file that cannot be read as rows.
    """
    rows = read(path or "")
    return Splits(rows, read(test_path, "test_path")) if test_path else split_off(rows, test, seed)


def read(path: str, key: str = "path") -> Dataset:
    """The rows of one file; `key` is what the config calls it.

    Raises:
        DataError: the file is missing or not rows.
    """
    if not Path(path).is_file():
        raise DataError(f"dataset.{key}={path} does not exist")
    builder = BUILDERS.get(Path(path).suffix.lower())
    if builder is None:
        raise DataError(f"dataset.{key}={path} is none of {', '.join(BUILDERS)}")
    try:
        rows = load_dataset(builder, data_files=path, split="train")
    except (ValueError, TypeError, OSError, DatasetsError) as error:
        cause = error.__cause__ or error
        raise DataError(f"dataset.{key}={path} cannot be read as rows: {cause}") from error
    assert isinstance(rows, Dataset)
    return rows
