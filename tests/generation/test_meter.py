"""How fast a generation is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.engines.base import Completion
from r1lab.generation import meter
from r1lab.runs.folder import RunFolder


def test_a_batch_that_comes_all_at_once_took_the_time_since_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(meter.time, "monotonic", lambda: now)
    with meter.Meter(RunFolder(tmp_path), 0.0) as found:
        found.progress(0, 8)
        now = 104.0
        for _ in range(8):
            found.completion(Completion("x", 50, "stop"))
        assert (found.rate, found.overall) == (100.0, 100.0)
