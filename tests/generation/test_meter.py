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
        assert (found.rate, found.overall) == (100.0, {"tokens_per_second": 100.0})


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(meter, "time", made)
    return made


def completions(found: meter.Meter, count: int, tokens: int = 50) -> None:
    for _ in range(count):
        found.completion(Completion("x", tokens, "stop"))
        found.progress(found.done + 1, found.total)


def test_what_was_there_before_a_resume_tells_no_rate_and_no_time(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path)
    with meter.Meter(folder, 0.0) as found:
        clock.now = 160.0  # the model was loaded
        found.progress(900, 1000)
        assert capsys.readouterr().out == "900 of 1,000 completions are there already\n"
        clock.now = 170.0
        found.progress(900, 1000)  # with nothing made in these 10 s
        assert capsys.readouterr().out == "generate completions=900/1000 failed=0\n"
        clock.now = 180.0
        completions(found, 10)  # in 20 s: 25 tokens a second, 180 s for the other 90
        found.said = 0.0
        found.progress(910, 1000)
    assert capsys.readouterr().out.splitlines()[-1] == "generate completions=910/1000 tokens/s=25 failed=0 eta=180s"
    records = list(folder.records("metrics.jsonl"))
    assert "tokens_per_second" not in records[0] and records[-1]["tokens_per_second"] == 25.0


def test_problems_that_are_closed_early_are_no_speed(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with meter.Meter(RunFolder(tmp_path), 0.0) as found:
        found.progress(0, 100)
        clock.now = 110.0
        completions(found, 10)
        found.progress(70, 100)  # the next look finds so many closed
        capsys.readouterr()
        clock.now = 120.0
        completions(found, 10)
    assert capsys.readouterr().out.splitlines()[0].endswith("completions=71/100 tokens/s=28 failed=0 eta=53s")


def test_a_server_that_counts_no_tokens_has_no_rate(tmp_path: Path, clock: Clock) -> None:
    with meter.Meter(RunFolder(tmp_path), 0.0) as found:
        found.progress(0, 8)
        clock.now = 104.0
        completions(found, 8, tokens=0)
        assert found.rate is None and found.overall == {}
