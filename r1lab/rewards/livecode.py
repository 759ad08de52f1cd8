"""Programs, judged as LiveCodeBench judges them: right where every test is passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1lab.rewards.base import Mark


def livecode(
    completions: list[str],
    tests: list[Any],
    *,
    sandbox: Mapping[str, Any] | str,
    seconds: float = 6,
    num_parallel: int | None = None,
) -> list[Mark]:
    """1 where the program in a completion passes every test, else 0; None where a row has none."""
    raise NotImplementedError
