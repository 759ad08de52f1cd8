"""Rows from files of the user's own: json, jsonl, csv or parquet, many of them, or a folder that datasets saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features, load_dataset, load_from_disk
from datasets.exceptions import DatasetsError

from r1lab.data.splits import Splits, keep_apart, split_off
from r1lab.errors import DataError, Finding
from r1lab.rows.files import SAVED
from r1lab.rows.kinds import NUMBER, TEXT, Kind, arrow_type
from r1lab.rows.look import look
from r1lab.rows.roles import Roles
from r1lab.rows.text import read_rows, typed

READER = 1  # what `rows_of` makes of a file; another number reads it again instead of taking it from the cache


def load(
    *,
    path: str | None = None,
    test_path: str | None = None,
    split: str = "train",
    test: float = 400,
    seed: int = 42,
    prompt: str | None = None,
    answer: str | None = None,
    messages: str | None = None,
    text: str | None = None,
    completion: str | None = None,
    use: str = "",
) -> Splits:
    """Read json, jsonl, csv or parquet, a folder or a pattern of them, or a folder that `save_to_disk` left.

    Args:
        path: the rows to train on.
        test_path: the held-out rows; without it, `test` rows are split off `path`.
        split: which part of a saved `DatasetDict`.
        test: rows to hold out, or their share below 1; at most half.
        seed: the split's shuffle.
        prompt, answer, messages, text, completion: the columns, by what they are for.
        use: what the rows are held to, as in `Roles`; the task says it.

    Raises:
        DataError: a file that cannot be read as rows, or rows that are not fit for their use: each with its line.
    """
    roles = Roles(prompt, answer, messages, text, completion, use)
    columns = (prompt, messages, text)
    rows = read(path or "", roles, split)
    if not test_path:
        return split_off(rows, test, seed, columns)
    return keep_apart(rows, read(test_path, roles, "test", "dataset.test_path"), columns)


def read(path: str, roles: Roles | None = None, split: str = "train", key: str = "dataset.path") -> Dataset:
    """The rows of a path; `key` is what the config calls it.

    Raises:
        DataError: with every fault that `look` finds.
    """
    found = look(path, roles, split, f"{key}={path}", key)
    if found.faults:
        raise DataError("\n".join(fault.text() for fault in found.faults))
    files = [str(file) for file in found.source.files]
    try:
        if found.source.format == SAVED:
            rows: Any = load_from_disk(str(found.source.folder))
        elif found.source.format == ".parquet":
            rows = load_dataset("parquet", data_files=files, split="train")
        else:
            schema = pa.schema([(name, arrow_type(found.kinds[name])) for name in found.columns])
            rows = Dataset.from_generator(
                rows_of,
                features=Features.from_arrow_schema(schema),
                gen_kwargs={"files": files, "kinds": found.kinds, "stamps": _stamps(files), "reader": READER},
            )
    except (ValueError, TypeError, OSError, DatasetsError, pa.ArrowException) as error:
        cause = str(error.__cause__ or error).strip() or type(error).__name__
        raise DataError(Finding(f"{path} cannot be read as rows: {cause}", f"{key}={path}").text()) from error
    assert isinstance(rows, Dataset)
    return rows


def _stamps(files: list[str]) -> list[tuple[int, int]]:
    """When files were written and how long they are: rows of the same files are taken from the cache of `datasets`."""
    return [(stat.st_mtime_ns, stat.st_size) for stat in (Path(file).stat() for file in files)]


def rows_of(
    files: list[str], kinds: dict[str, Kind], stamps: list[tuple[int, int]] | None = None, reader: int = READER
) -> Iterator[dict[str, Any]]:
    """The rows of text files that `look` found nothing wrong with, as their columns hold them."""
    for file in files:
        for _, row in read_rows(Path(file)):
            assert isinstance(row, dict)
            if Path(file).suffix.lower() == ".csv":
                yield {name: typed(row.get(name), str(kind)) for name, kind in kinds.items()}
            else:
                yield {name: _fitted(row.get(name), kind) for name, kind in kinds.items()}


def _fitted(value: Any, kind: Kind) -> Any:
    """A JSON value as its column holds it: a number among texts becomes text, a whole one among numbers a number."""
    if value is None or isinstance(kind, tuple):
        return value
    if kind == TEXT and not isinstance(value, str):
        return str(value)
    return float(value) if kind == NUMBER else value
