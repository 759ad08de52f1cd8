"""What a run says while it waits: in a terminal, in a file, in the log; and how long the rest is said to take."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from r1lab import terminal

SAID = "loading model big from org/big"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(terminal, "SLOW", 0.02)
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(watch)")]


def test_what_is_quick_is_not_said(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "SLOW", 60.0)
    caplog.set_level(logging.INFO)
    with terminal.lengthy(SAID):
        pass
    assert capsys.readouterr().out == "" and not caplog.records


def test_what_takes_its_time_is_said_while_it_does_and_then_ever_more_rarely(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = ""
    with terminal.lengthy(SAID):
        while said.count("\n") < 3:  # at 20, 80 and 320 ms
            said += capsys.readouterr().out
            time.sleep(0.005)
    first, *rest = said.splitlines()
    assert first == SAID and all(re.fullmatch(rf"{SAID}: \d+ s so far", line) for line in rest)
    *logged, last = [record.getMessage() for record in caplog.records]
    assert logged == [first, *rest] and re.fullmatch(rf"{SAID}: took \d+ s", last)


def test_an_error_passes_through_and_nothing_more_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="gone"), terminal.lengthy(SAID):
        raise OSError("gone")
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().out == ""


def test_of_several_processes_the_first_one_says_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with terminal.lengthy(SAID):
        time.sleep(0.1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (12.4, "12 s"), (119.4, "119 s"), (120.0, "2 min"), (5000.0, "83 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, "-:--:--"), (0.0, "0:00:00"), (3725.4, "1:02:05")])
def test_the_time_that_is_left(seconds: float | None, text: str) -> None:
    assert terminal.left(seconds) == text


BAR = f"""
import time
from r1lab import terminal
terminal.SLOW = 0.05
bar = terminal.live(terminal.terminal())
bar.add_task("generate", total=8, completed=2, eta=terminal.left(None))
with bar, terminal.lengthy("{SAID}"):
    time.sleep(0.15)
"""


def test_a_line_stands_above_a_bar_in_a_terminal() -> None:
    main, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", BAR], stdout=end, stderr=end, env=env)
    os.close(end)
    said = b""
    while True:
        try:
            said += os.read(main, 65536)
        except OSError:  # the other end is closed
            break
    os.close(main)
    assert process.wait(10) == 0
    shown = [re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", line) for line in said.decode().splitlines()]
    assert next(line for line in shown if SAID in line).strip("\r") == SAID  # no bar on its line
    assert any(re.search(r"generate .*2/8 .*eta -:--:--", line) for line in shown)
