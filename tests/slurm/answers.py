"""Slurm's commands as lines of text: a controller that takes every script, to try races that a real one shows once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from r1lab.slurm import commands


class Controller:
    """Stands in for Slurm's commands: takes scripts, and lists what it has taken."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int, str]] = []  # array, index, command
        self.states: dict[str, str] = {}  # of tasks; PENDING
        self.before: Callable[[], None] = lambda: None  # happens when a script is tried out
        self.after: Callable[[], None] = lambda: None  # happens once a script is taken, before sbatch answers

    def __call__(self, *words: str | Path) -> str:
        if words[0] == "sbatch":
            if "--test-only" in words:
                self.before()
                return ""
            array, script = str(100 + len(self.taken)), Path(words[-1])
            (line,) = (line for line in script.read_text().splitlines() if line.startswith("#SBATCH --array="))
            for part in line.partition("=")[2].split(","):
                first, _, last = part.partition("-")
                self.taken += [(array, index, str(script)) for index in range(int(first), int(last or first) + 1)]
            self.after()
            return f"{array}\n"
        if "--format=%F|%K|%o" in words:
            return "".join(f"{array}|{index}|{command}\n" for array, index, command in self.taken)
        asked = next(str(word) for word in words if str(word).startswith("--jobs=")).partition("=")[2].split(",")
        known = [(f"{array}_{index}", array) for array, index, _ in self.taken]
        return "".join(
            f"{name}|{self.states.get(name, 'PENDING')}|None|0:00|\n" for name, array in known if array in asked
        )


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    found = Controller()
    monkeypatch.setattr(commands, "call", found)
    return found
