"""Two kills of a generation; `make drill` does twenty, over 2,000 rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drill.generation_kills import drill

pytestmark = pytest.mark.whole


def test_two_kills_leave_every_row_and_index_once(tmp_path: Path) -> None:
    facts = drill(tmp_path, rows=60, n=2, kills=2)
    assert (facts["kills"], facts["completions"]) == (2, 120)
    assert facts["requests"] <= 120 + 2 * 8  # what was in flight is asked for again
