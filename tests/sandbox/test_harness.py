"""The script that runs programs on rented machines, run as there: programs that misbehave, and broken lines."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from r1lab.providers import harness
from r1lab.providers.machine import HARNESS, _outcome, read
from r1lab.providers.machine_jobs import plan_of
from r1lab.remote.retrying import Unavailable
from r1lab.sandbox.base import Limits, Outcome, Program, Submission, Test, Verdict
from tests.sandbox.test_contest import HALVE, LINE, ioi

PATIENT = Limits(seconds=1.0, wall_seconds=8.0, memory=128 << 20)
GUESSES = {
    "wrong": ("return n / 7;", Verdict.WRONG, "not found"),
    "time": ("for (volatile int x = 0;; ++x); return n;", Verdict.TIMEOUT, "limit on time"),
    "leaves": ("exit(3);", Verdict.WRONG, "wrong protocol"),
    "silent": ("kill(getpid(), SIGSTOP); return n;", Verdict.TIMEOUT, "limit on wall time"),
    "memory": ("std::string s(200 << 20, 'x'); usleep(100000); return s[n];", Verdict.MEMORY, "limit on memory"),
}


def run(program: Submission, tests: list[Test], limits: Limits, folder: Path) -> list[Outcome]:
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
    assert time.monotonic() - began < 50  # what sleeps for 60 s is not waited for


@pytest.mark.parametrize("way", ["std_io", "fifo_io"])
def test_a_manager_and_its_program(tmp_path: Path, way: str) -> None:
    tmp_path.chmod(0o755)
    tests = [Test("1000 77"), Test("1000 1000"), Test("1 1")]
    outcomes = run(ioi("guess", HALVE, user_io=way), tests, PATIENT, tmp_path)
    assert [(item.verdict, item.score, item.detail) for item in outcomes] == [(Verdict.PASSED, 1.0, "found")] * 3
    (slow,) = run(ioi("guess", LINE, user_io=way), tests[:1], PATIENT, tmp_path)
    assert (slow.verdict, slow.score, slow.detail) == (Verdict.WRONG, 0.25, "found")


@pytest.mark.parametrize(
    ("way", "name"), [("std_io", name) for name in GUESSES] + [("fifo_io", "time"), ("fifo_io", "leaves")]
)
def test_what_goes_wrong_between_them(tmp_path: Path, way: str, name: str) -> None:
    tmp_path.chmod(0o755)
    body, verdict, word = GUESSES[name]
    headers = ("<cstdio>", "<cstdlib>", "<string>", "<unistd.h>", "<signal.h>", '"guess.h"')
    source = "".join(f"#include {header}\n" for header in headers) + f"int find(int n) {{ {body} }}\n"
    limits = replace(PATIENT, seconds=0.5, wall_seconds=1.0 if "wall" in word else 8.0)
    (outcome,) = run(ioi("guess", source, user_io=way), [Test("1000 77")], limits, tmp_path)
    assert (outcome.verdict, outcome.score) == (verdict, 0.0), outcome
    assert word in outcome.detail


@pytest.mark.parametrize("way", ["std_io", "fifo_io"])
def test_a_program_of_two_processes(tmp_path: Path, way: str) -> None:
    tmp_path.chmod(0o755)
    source = (
        '#include "relay.h"\nstatic int kept = -1;\n'
        "int say(int n) {{ kept = n; return {}; }}\nint hear(int b) {{ return {}; }}\n"
    )
    tests = [Test("1 2 3 100 200 7 8 9")]
    (right,) = run(ioi("relay", source.format("n ^ 5", "b ^ 5"), user_io=way), tests, PATIENT, tmp_path)
    assert (right.verdict, right.score, right.detail) == (Verdict.PASSED, 1.0, "8 of 8")
    (apart,) = run(ioi("relay", source.format("0", "kept == -1 ? 0 : kept"), user_io=way), tests, PATIENT, tmp_path)
    assert (apart.verdict, apart.score) == (Verdict.WRONG, 0.0)


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
