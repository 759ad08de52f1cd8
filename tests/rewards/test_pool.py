"""The processes that compare: none costs its neighbours anything, whatever becomes of it."""

from __future__ import annotations

import io
import multiprocessing
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from r1lab.rewards import verifier
from r1lab.rewards.base import Failure
from r1lab.rewards.pool import LATE, Pool, Worker, pool, processor_seconds

SLOW = r"\binom{1000000000}{500000000}"
LIMIT = 0.3


@pytest.fixture(scope="module")
def small() -> Iterator[Pool]:
    """Two processes that give up soon; the tests ask different questions, since answers are remembered."""
    made = Pool(2, LIMIT)
    assert made.judge([("x", "x"), ("y", "x"), ("z", "x")]) == [True, False, False]
    yield made
    made.close()


def pids(made: Pool) -> list[int]:
    return [worker.child.pid for worker in made.workers if worker.child]


def ended_used() -> float:
    """Seconds of processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def gone(pid: int, seconds: float = 5) -> bool:
    """Whether a process ends in time; one that nobody waited for counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


def test_verdicts_come_in_order() -> None:
    found = pool().judge([("0.5", r"\frac12"), (None, "x"), ("x", "$$"), ("y", "x"), ("x+1", "1+x"), (None, "$$")])
    assert found == [True, False, None, False, True, None]
    assert pool().judge([]) == []


def test_an_answer_that_takes_too_long_is_wrong_and_a_gold_one_cannot_be_read(small: Pool) -> None:
    assert small.judge([(SLOW, "1"), ("1", SLOW), (None, SLOW), ("2", SLOW)]) == [False, None, None, None]


def test_what_takes_too_long_holds_nobody_up(small: Pool) -> None:
    questions = [(f"{number}+y", f"y+{number}") for number in range(40)]
    questions[5:5] = [("9^{9^{9}}", "x"), (SLOW, "x")]
    assert small.judge(questions) == [True] * 5 + [False] * 2 + [True] * 35


@pytest.mark.parametrize("answer", [SLOW, "9^{9^{9}}", "((((((9!)!)!)!)!)!)"])
def test_a_question_costs_its_limit_at_most(small: Pool, answer: str) -> None:
    worker = small.workers[0]
    worker.ask("x", "x")
    assert worker.child
    pid = worker.child.pid
    began, before = processor_seconds(pid), ended_used()
    assert worker.ask(answer, "1") == "too long"
    gave_up = worker.child is not None
    used = processor_seconds(pid) - began if gave_up else ended_used() - before - began
    assert used < LIMIT + 2 * LATE


def test_a_busy_machine_is_no_failure(small: Pool) -> None:
    """Stopped and going on by turns, as where many processes share a core."""
    over = threading.Event()

    def hold_up() -> None:
        while not over.is_set():
            for pid in pids(small):
                os.kill(pid, signal.SIGSTOP)
            over.wait(0.3)
            for pid in pids(small):
                os.kill(pid, signal.SIGCONT)
            over.wait(0.03)

    thread = threading.Thread(target=hold_up)
    thread.start()
    before = pids(small)
    found = small.judge([(rf"(x+{number})^{{30}}", rf"(x+{number})^{{30}}+1") for number in range(6)])
    over.set()
    thread.join()
    assert found == [False] * 6
    assert pids(small) == before


def test_equal_questions_are_asked_once(small: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, str]] = []
    ask = Worker.ask

    def counted(self: Worker, answer: str | None, gold: str) -> object:
        asked.append((answer, gold))
        return ask(self, answer, gold)

    monkeypatch.setattr(Worker, "ask", counted)
    questions: list[tuple[str | None, str]] = [("a+b", "b+a"), ("a", "b+a"), ("a+b", "b+a")] * 5
    assert small.judge(questions) == [True, False, True] * 5
    assert small.judge(questions) == [True, False, True] * 5
    assert sorted(asked, key=str) == [("a", "b+a"), ("a+b", "b+a"), (None, "b+a")]


def test_a_process_that_was_killed_while_idle_is_replaced(small: Pool) -> None:
    before = pids(small)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
    assert small.judge([("p", "p"), ("p", "q")]) == [True, False]
    assert not set(pids(small)) & set(before)


def test_a_question_is_asked_again_after_one_kill_and_fails_after_two(
    small: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = {"once": 1, "twice": 2}
    exchange = Worker._exchange

    def killed(self: Worker, line: str, wait: Callable[[select.poll], bool]) -> bytes | None:
        for word in kills:
            if f'"{word}"' in line and kills[word]:
                kills[word] -= 1
                assert self.child
                self.child.kill()
        return exchange(self, line, wait)

    monkeypatch.setattr(Worker, "_exchange", killed)
    found = small.judge([("once", "once"), ("a", "once"), ("x", "twice"), ("a", "a")])
    assert found[:2] == [True, False] and found[3] is True
    assert found[2] == Failure("math-verify's process was ended from outside, by SIGKILL, twice")
    assert small.judge([("twice", "twice")]) == [True]  # a failure is not remembered


def test_a_question_that_crashes_its_process_twice_is_at_fault_itself(
    small: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Worker._exchange

    def crashed(self: Worker, line: str, wait: Callable[[select.poll], bool]) -> bytes | None:
        if '"crash"' not in line:
            return exchange(self, line, wait)
        assert self.child and self.child.stdin
        self.child.stdin.close()  # the process ends by itself
        self.child.stdin = None
        return b""

    monkeypatch.setattr(Worker, "_exchange", crashed)
    assert small.judge([("crash", "a"), ("1", "crash"), ("a", "a")]) == [False, None, True]


def test_an_exception_ends_no_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def compare(answer: str | None, _gold: str) -> bool:
        if answer == "raise":
            raise OverflowError
        return True

    for name in ("resource.setrlimit", "signal.signal", "signal.setitimer", "ctypes.CDLL", "logging.disable"):
        monkeypatch.setattr(name, MagicMock())
    monkeypatch.setattr(verifier, "compare", compare)
    monkeypatch.setattr("sys.stdin", io.StringIO('["raise", "1"]\n["1", "1"]\n'))
    verifier.main(1.0)
    assert capsys.readouterr().out.split() == ['"faulty"', "true"]


def test_a_process_without_processor_time_is_no_wrong_answer(small: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.rewards.pool.STILL", 0.5)
    before = pids(small)
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    assert small.judge([("s", "s"), ("t", "s")]) == [True, False]  # by new ones
    assert not set(pids(small)) & set(before)


def test_a_process_that_cannot_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    (found,) = Pool(1).judge([("x", "x")])
    assert isinstance(found, Failure) and found.reason.startswith("math-verify's process does not start")
    monkeypatch.setattr("sys.executable", "/no/such/python")
    (found,) = Pool(1).judge([("x", "x")])
    assert found == Failure("math-verify's process does not start: No such file or directory")


def test_several_threads_at_once(small: Pool) -> None:
    found: dict[int, list[object]] = {}

    def compare(number: int) -> None:
        found[number] = [*small.judge([(f"{number}+k", f"k+{number}"), ("k", f"k+{number}"), ("x", "$$")] * 4)]

    threads = [threading.Thread(target=compare, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: [True, False, None] * 4 for number in range(6)}


def _in_a_fork(made: Pool, results: multiprocessing.Queue[list[object]]) -> None:
    results.put([*made.judge([("m", "m"), ("n", "m")])])
    made.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_starts_its_own(small: Pool) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[list[object]] = context.Queue()
    before = pids(small)
    child = context.Process(target=_in_a_fork, args=(small, results))
    child.start()
    assert results.get(timeout=30) == [True, False]
    child.join(10)
    assert child.exitcode == 0
    assert pids(small) == before and small.judge([("o", "o")]) == [True]


@pytest.mark.parametrize("busy", [False, True])
def test_nothing_is_left_when_the_parent_dies(busy: bool) -> None:
    code = (
        "import sys, threading\nfrom r1lab.rewards.pool import Pool\n"
        "made = Pool(2, 30.0)\nmade.judge([('x', 'x'), ('y', 'x'), ('z', 'x')])\n"
        f"threading.Thread(target=made.judge, args=([({SLOW!r}, 'x')],), daemon=True).start() if {busy} else None\n"
        "print(*[worker.child.pid for worker in made.workers if worker.child], flush=True)\nsys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert children and not any(gone(pid, 0.1) for pid in children)
    parent.kill()
    parent.communicate()
    assert all(gone(pid) for pid in children)
