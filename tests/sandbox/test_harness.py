"""The script that runs programs on rented machines, run as there: programs that misbehave, and broken lines."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from r1lab.providers import harness
from r1lab.providers.machine import HARNESS, _outcome, read
from r1lab.providers.machine_jobs import plan_of
from r1lab.remote.retrying import Unavailable
from r1lab.sandbox.base import Limits, Outcome, Program, Test, Verdict


def run(program: Program, tests: list[Test], limits: Limits, folder: Path) -> list[Outcome]:
    """The outcomes of tests that ran in a harness of their own."""
    plan = plan_of(program, tests, limits, stop=False)
    (folder / "harness.py").write_text(HARNESS)
    (folder / "job").write_text(harness.packed(plan.job))
    command = [sys.executable, "-I", "harness.py", "job"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    reply = read(done.stdout)
    return [_outcome(test, result, plan) for test, result in zip(tests, reply["tests"], strict=True)]


@pytest.mark.parametrize(
    ("source", "verdict", "said"),
    [
        ("while True: pass", Verdict.TIMEOUT, "limit on time"),
        ("import time; time.sleep(60)", Verdict.TIMEOUT, "limit on wall time"),
        ("x = bytearray(1 << 29)", Verdict.MEMORY, "limit on memory"),
        ("print('x' * (1 << 23))", Verdict.CRASHED, "limit on output"),
        ("import os; os.abort()", Verdict.CRASHED, "signal 6"),
        ("raise MemoryError", Verdict.MEMORY, "exit code 1"),
        (
            "import os; [os.fork() for _ in range(4)]; import time; time.sleep(60)",
            Verdict.TIMEOUT,
            "limit on wall time",
        ),
        (f"print('{harness.MARK}eJyrVkrLz1eyUlBKLFKqBQAdegQ0')", Verdict.WRONG, ""),  # a line of its own making
        ("\ud800", Verdict.CRASHED, "exit code 1"),
    ],
)
def test_programs_that_misbehave(tmp_path: Path, source: str, verdict: Verdict, said: str) -> None:
    tmp_path.chmod(0o755)
    began = time.monotonic()
    limits = Limits(seconds=0.3, wall_seconds=1.5, memory=128 << 20, output=1 << 20)
    program = Program("python", f"n = input()\nif n == '9':\n    {source}\nprint(int(n) * 2)")
    bad, good = run(program, [Test("9", "18"), Test("2", "4")], limits, tmp_path)
    assert (bad.verdict, good.verdict) == (verdict, Verdict.PASSED if "\ud800" not in source else Verdict.CRASHED)
    assert said in bad.detail
    assert time.monotonic() - began < 6


def test_a_test_sees_nothing_of_the_one_before(tmp_path: Path) -> None:
    source = "import os\nprint(sorted(os.listdir()))\nopen('left', 'w').write('x')\nos.mkdir('folder')"
    program = Program("python", source, {"data/a.txt": "a"})
    outcomes = run(program, [Test("", "['data', 'main.py']")] * 3, Limits(seconds=1, wall_seconds=2), tmp_path)
    assert [item.passed for item in outcomes] == [True] * 3


def test_a_language_that_the_machine_lacks(tmp_path: Path) -> None:
    (outcome,) = run(Program("lua", "print(1)"), [Test("", "1")], Limits(), tmp_path)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert outcome.detail.startswith("the machine cannot run lua: ")


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "Traceback (most recent call last)",
        harness.MARK,
        f"{harness.MARK}!!!",
        f"{harness.MARK}{harness.packed([1])}",
        f"{harness.MARK}{harness.packed({'compile': None})}",
        f"{harness.MARK}{harness.packed({'compile': None, 'tests': [{'code': 0}]})}",
        f"{harness.MARK}{harness.packed({'compile': None, 'tests': []})[:-9]}",
    ],
)
def test_lines_that_cannot_be_read(printed: str) -> None:
    with pytest.raises(Unavailable):
        read(printed)
