"""A pool of math-verify's processes: many comparisons at once, each with its own limit, none at its neighbours' cost.

Safe to call from any thread and from several at once; a process that was forked from this one starts its own.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from r1lab.hardware import cores
from r1lab.rewards.base import Failure
from r1lab.rewards.verifier import FAULTY, TOO_LONG

SECONDS = 3.0  # of processor time for one comparison
LATE = 0.25  # seconds of processor time beyond that, after which a process that has not given up by itself is killed
STILL = 10.0  # seconds of real time without any processor time, after which a process is taken for stuck
START_SECONDS = 120.0
REST = 30.0  # seconds without another try after a process that could not be started
MOST_WORKERS = 4
CALLERS = 8  # threads that may call at once without waiting for each other
REMEMBERED = 65536  # verdicts
OWN_FAULT = (signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
TRIES = 2

Question = tuple[str | None, str]  # an answer, None for none, and a gold one
Reply = bool | str | None
Verdict = bool | None | Failure


class Killed(Exception):
    """A process ended, or stood still, for a reason that is not its question's."""


class Crashed(Exception):
    """A process ended itself: its question's fault, where it happens again."""


class CannotStart(Exception):
    """A process could not be started."""


class Worker:
    """One process, started on first use and again after it had to be killed. Whoever asks holds its lock.

    Args:
        seconds: of processor time for one comparison.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.child: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def ask(self, answer: str | None, gold: str) -> Reply:
        """The process's reply, `TOO_LONG` where the question met its limit, `FAULTY` where comparing raised.

        Raises:
            Killed: the process was killed from outside, or got no processor time.
            Crashed: it ended with an exit code.
            CannotStart: it cannot be started.
        """
        if not self.child or self.child.poll() is not None:
            self._start()
        assert self.child
        line = self._exchange(json.dumps([answer, gold]), self._in_time)
        if line:
            reply: Reply = json.loads(line)
            return reply
        if line is None:
            self.close()
            return TOO_LONG
        ended = self.child.wait()
        self.close()
        if -ended in OWN_FAULT:
            return TOO_LONG
        if ended >= 0:
            raise Crashed
        raise Killed(f"math-verify's process was ended from outside, by {signal.Signals(-ended).name}")

    def close(self) -> None:
        """End the process; it is started again when it is needed."""
        if child := self.child:
            self.child = None
            child.kill()
            child.communicate()

    def _start(self) -> None:
        self.close()
        path = os.pathsep.join(path for path in sys.path if path)
        try:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "r1lab.rewards.verifier", str(self.seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # an interrupt from the terminal is for this process, which closes the pipe
            )
        except OSError as error:
            raise CannotStart(f"math-verify's process does not start: {error.strerror}") from error
        if self._exchange('[null, "1"]', lambda ready: bool(ready.poll(START_SECONDS * 1000))) != b"false\n":
            ended = self.child.poll()
            self.close()
            raise CannotStart(f"math-verify's process does not start (exit code {ended}); its last words are above")

    def _exchange(self, line: str, wait: Callable[[select.poll], bool]) -> bytes | None:
        """The child's reply, whole; empty if it dies, None if `wait` sees none in time."""
        child = self.child
        assert child and child.stdin and child.stdout
        ready = select.poll()  # `select.select` knows no descriptor above 1023
        ready.register(child.stdout, select.POLLIN)
        try:
            child.stdin.write(line.encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            return b""
        return child.stdout.readline() if wait(ready) else None

    def _in_time(self, ready: select.poll) -> bool:
        """Whether the child replies before it has used its processor time, however long that takes on a busy machine.

        Raises:
            Killed: it gets no processor time at all, and is given up.
        """
        assert self.child
        pid = self.child.pid
        used = began = processor_seconds(pid)
        moved = time.monotonic()
        while not ready.poll(1000 * max(LATE, self.seconds + LATE - (used - began))):
            before, used = used, processor_seconds(pid)
            if used - began > self.seconds + LATE:
                return False
            if used > before:
                moved = time.monotonic()
            elif time.monotonic() - moved > STILL:
                self.close()
                raise Killed(f"math-verify's process stood still for {STILL:g} s")
        return True


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used, where /proc tells; else ever more, so that waiting counts as working."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pool:
    """Compares answers with gold ones in several processes.

    Args:
        workers: how many processes, started as they are needed.
        seconds: of processor time for one comparison.
    """

    def __init__(self, workers: int, seconds: float = SECONDS):
        self.count = max(1, workers)
        self.seconds = seconds
        self.forgotten: list[Worker] = []  # of a process that this one was forked from: not ours to end
        self.workers: list[Worker] = []
        self._open()
        atexit.register(self.close)

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """The verdict on each (answer, gold): equal or not, None where the gold answer cannot be read.

        Each gold answer is read first, and once: an answer that takes too long is wrong where its gold one can be read,
        and a gold one that takes too long cannot be. Equal questions are asked once.
        """
        if os.getpid() != self.pid:
            self.forgotten += self.workers
            self._open()
        golds = self._settled([(None, gold) for gold in dict.fromkeys(gold for _, gold in questions)])
        readable = {gold for (_, gold), verdict in golds.items() if verdict is False}
        settled = self._settled(
            [item for item in dict.fromkeys(questions) if item[0] is not None and item[1] in readable]
        )
        return [settled[item] if item in settled else golds[None, item[1]] for item in questions]

    def close(self) -> None:
        """End every process; they are started again when they are needed."""
        if os.getpid() == self.pid:
            for worker in self.workers:
                worker.close()

    def _open(self) -> None:
        self.pid = os.getpid()
        self.known: dict[Question, bool | None] = {}
        self.broken: tuple[float, str] | None = None
        self.workers = [Worker(self.seconds) for _ in range(self.count)]
        self.homes: dict[str, int] = {}  # gold answer → the worker that has read it
        # A process is killed when the thread that started it ends, so these threads last as long as the pool.
        self.threads = ThreadPoolExecutor(self.count * CALLERS, thread_name_prefix="math-verify")

    def _settled(self, questions: Sequence[Question]) -> dict[Question, Verdict]:
        """The verdict on each question, from memory or from a process."""
        known = self.known  # another thread may begin a new one
        found: dict[Question, Verdict] = {item: known[item] for item in questions if item in known}
        for item, reply in self._replies([item for item in questions if item not in found]):
            if isinstance(reply, str):  # too long or faulty: the gold answer cannot be read, or the answer is wrong
                found[item] = None if item[0] is None else False
            else:
                found[item] = reply
                if not isinstance(reply, Failure):
                    known[item] = reply
        if len(known) > REMEMBERED:
            self.known, self.homes = {}, {}
        return found

    def _replies(self, questions: Sequence[Question]) -> list[tuple[Question, Reply | Failure]]:
        """A reply to each question. Each worker has a lane, and takes from the longest other one when its own is empty.

        A question goes to the worker that has read its gold answer already.
        """
        lanes: list[deque[Question]] = [deque() for _ in self.workers]
        homes = self.homes
        for place, question in enumerate(questions):
            lanes[homes.setdefault(question[1], place % self.count)].append(question)
        replies: list[tuple[Question, Reply | Failure]] = []

        def serve(number: int) -> None:
            while True:
                try:
                    question = lanes[number].popleft() if lanes[number] else max(lanes, key=len).pop()
                except IndexError:
                    return
                with self.workers[number].lock:
                    replies.append((question, self._ask(self.workers[number], question)))

        ready = sorted(range(self.count), key=lambda number: -len(lanes[number]))
        list(self.threads.map(serve, ready[: len(questions)]))
        return replies

    def _ask(self, worker: Worker, question: Question) -> Reply | Failure:
        """One reply; a process that was killed from outside, or crashed, is replaced once.

        A question at which it crashes again is at fault itself.
        """
        cause = ""
        for _ in range(TRIES):
            if self.broken and time.monotonic() - self.broken[0] < REST:
                return Failure(self.broken[1])
            try:
                return worker.ask(*question)
            except CannotStart as error:
                self.broken = (time.monotonic(), str(error))
                return Failure(str(error))
            except Killed as error:
                cause = str(error)
            except Crashed:
                cause = ""
        return Failure(f"{cause}, twice") if cause else FAULTY


def pool(workers: int | None = None) -> Pool:
    """The process-wide pool with so many workers; None: one per core, at most `MOST_WORKERS`."""
    return _pool(workers or min(cores(), MOST_WORKERS))


@cache
def _pool(workers: int) -> Pool:
    return Pool(workers)
