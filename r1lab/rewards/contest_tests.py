"""Where the tests of contests are kept: too large for a row of a data set, so read by problem and held for a while."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq
from datasets import load_dataset

from r1lab.errors import RewardError
from r1lab.sandbox.base import Test

CONTESTS = 32  # whose generated tests are held in memory


@lru_cache(maxsize=4)
def _ioi_year(source: str, year: int) -> dict[str, dict[str, tuple[str, str]]]:
    if Path(source).is_dir():
        rows = load_dataset("parquet", data_files=str(Path(source) / str(year) / "*.parquet"), split="train")
    else:
        rows = load_dataset(source, name=str(year), split="train")
    tests: dict[str, dict[str, tuple[str, str]]] = {}
    for row in rows:
        tests.setdefault(row["problem_id"], {})[row["test_name"]] = (row["test_input"], row["test_output"])
    return tests


def ioi_tests(source: str, year: int, problem: str) -> dict[str, tuple[str, str]]:
    """The tests of an IOI problem: name → (input, output); empty where the source has none of it.

    Args:
        source: a data set on the hub, or a folder with YEAR/*.parquet.
    """
    return _ioi_year(source, year).get(problem, {})


def generated_tests(problem: str, folder: str | None) -> list[Test]:
    """The generated tests of a Codeforces problem "CONTEST/LETTER"; none where no folder is set or it has none.

    Raises:
        RewardError: the folder is not there.
    """
    place = folder or os.environ.get("CF_TESTS_FOLDER")
    if not place:
        return []
    if not Path(place).is_dir():
        raise RewardError(f"cf_code: there is no folder {place} (reward.cf_code.tests_folder, or CF_TESTS_FOLDER)")
    contest = problem.split("/")[0]
    return list(_contest(place, int(contest)).get(problem, ())) if contest.isdigit() else []


@lru_cache(maxsize=CONTESTS)
def _contest(folder: str, contest: int) -> dict[str, tuple[Test, ...]]:
    file = Path(folder) / f"test_cases_{contest:04d}.parquet"
    if not file.exists():
        return {}
    tests: dict[str, list[Test]] = {}
    for row in pq.read_table(file, columns=["problem_id", "input", "output"]).to_pylist():
        tests.setdefault(row["problem_id"], []).append(Test(row["input"], row["output"]))
    return {problem: tuple(found) for problem, found in tests.items()}
