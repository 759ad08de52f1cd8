"""What a training shows: lines that a program can read, or a bar where somebody looks."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.whole

SCRIPT = """
import sys, time
from types import SimpleNamespace as S
from r1lab.trainers import progress
from r1lab.trainers.progress import Counter, Progress
progress.EVERY = 0.0
shown = Progress("base model")
shown.say("Why it is [trained].")
state = S(global_step=0, max_steps=3, is_world_process_zero=True)
shown.on_train_begin(None, state, None)
for state.global_step in (1, 2, 3):
    logs = {"loss": 0.5 / state.global_step, "entropy": 2.0, "grad_norm": float("nan")}
    if state.global_step != 2:
        logs |= {"reward": 1.5, "rewards/accuracy/mean": 0.25, "completions/mean_length": 31.0}
    shown.on_log(None, state, None, logs)
shown.on_log(None, state, None, {"train_runtime": 1.0, "loss": 9.0})
shown.on_train_end(None, state, None)
shown.stop()
with Counter("eval", 8) as counter:
    for done in (2, 8):
        counter(done, 8)
"""
LINE = re.compile(r"(\w+) step=(\d+)/(\d+)((?: \w+=-?[\d.e-]+)+) eta=(\d+)s")


def in_terminal() -> str:
    """What the script writes to a terminal of 120 columns."""
    main, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=end, stderr=end, env=env, close_fds=True)
    os.close(end)
    said = b""
    while True:
        ready, _, _ = select.select([main], [], [], 60)
        try:
            chunk = os.read(main, 65536) if ready else b""
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        said += chunk
    os.close(main)
    assert process.wait(10) == 0, said
    return said.decode()


def test_lines_that_a_program_can_read() -> None:
    env = {**os.environ, "FORCE_COLOR": "1"}  # as a notebook's kernel sets it for whatever it starts
    env.pop("TTY_COMPATIBLE", None)
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=env, timeout=60)
    assert said.returncode == 0, said.stderr
    first, *lines = said.stdout.splitlines()
    assert first == "Why it is [trained]." and "\x1b" not in said.stdout
    parsed = [LINE.fullmatch(line) for line in lines[:3]]
    steps: list[dict[str, Any]] = []
    for match in parsed:
        assert match and match[1] == "base_model" and match[3] == "3"
        steps.append({"step": match[2], **dict(item.split("=") for item in match[4].split())})
    assert steps == [
        {"step": "1", "loss": "0.5", "reward": "1.5", "accuracy": "0.25", "length": "31"},
        {"step": "2", "loss": "0.25", "reward": "1.5", "accuracy": "0.25", "length": "31"},  # the last known
        {"step": "3", "loss": "0.1667", "reward": "1.5", "accuracy": "0.25", "length": "31"},
    ]
    assert [re.sub(r"eta=\d+s", "", line) for line in lines[3:]] == [
        "2 of 8 completions are there already",
        "eval completions=2/8",  # no time that is left: nothing was made yet
        "eval completions=8/8 ",
    ]


def test_a_bar_in_a_terminal_that_is_left_as_it_was() -> None:
    said = in_terminal()
    assert "Why it is [trained]." in said and "step=" not in said
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", said)
    assert re.search(r"base model .*3/3 .*loss 0\.167  reward 1\.5  accuracy 0\.25  length 31", text)
    assert re.search(r"eval .*8/8", text)
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 2  # the cursor goes and comes back


@pytest.mark.parametrize("every", [0.0, 3600.0])
def test_the_last_step_is_always_said(every: float) -> None:
    script = SCRIPT.replace("EVERY = 0.0", f"EVERY = {every}")
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60).stdout
    assert "step=3/3" in said and "completions=8/8" in said
    assert ("step=2/3" in said) == (every == 0.0)
