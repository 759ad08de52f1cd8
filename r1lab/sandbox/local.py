"""The sandbox of this machine: boxes of bubblewrap, one per core, kept warm.

from r1lab.sandbox.local import LocalSandbox
LocalSandbox().run(Program("python", "print(int(input()) * 2)"), [Test("2", "4")])
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1lab.errors import SandboxError
from r1lab.hardware import cores
from r1lab.sandbox import container, contest
from r1lab.sandbox.base import (
    CodeforcesProgram,
    IOIProgram,
    Limits,
    Outcome,
    Program,
    Submission,
    Test,
    Verdict,
    same_lines,
)
from r1lab.sandbox.box import Box
from r1lab.sandbox.job import Execution, Job
from r1lab.sandbox.jobs import allowed, checked, job_of, outcome_of, text, words_of
from r1lab.sandbox.languages import find

log = logging.getLogger("r1lab")
CACHE = 256 << 20  # bytes of compiled programs that are kept
COMPILER_MEMORY = 2 << 30
alive: weakref.WeakSet[LocalSandbox] = weakref.WeakSet()


@dataclass(frozen=True)
class Executed:
    """What a job did: the compiler's execution, if there was one, and the program's, if it came to that."""

    compile: Execution | None
    run: Execution | None


class LocalSandbox:
    """Runs programs in boxes on this machine.

    Args:
        workers: boxes at once; None: one per core.
        python: the interpreter for Python programs, a path; None: the system's python3. Point it to an environment's
            interpreter and its packages can be imported.
        visible: further paths that programs may read, none below /tmp, which is each program's own.
        tree: who holds the memory and processes of a program's tree: "cgroup", "watcher", or "auto" for the first that
            works; which, is logged.
        limits: fields of `Limits`, for all tests that do not bring their own.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        python: str | None = None,
        visible: Sequence[str] = (),
        tree: str = "auto",
        limits: Mapping[str, Any] | None = None,
    ):
        self.workers = workers or cores()
        self.python = python
        self.visible = [Path(path) for path in visible]
        self.tree = tree
        self.limits = Limits(**(limits or {}))
        self.turn = threading.Condition()
        self.boxes: set[Box] = set()
        self.idle: list[Box] = []
        self.busy = 0
        self.waiting: deque[object] = deque()
        self.closings = 0
        self.cache: OrderedDict[bytes, Execution] = OrderedDict()
        self.said = False
        alive.add(self)
        atexit.register(self.close)

    def run(
        self,
        submission: Submission,
        tests: Sequence[Test],
        limits: Limits | None = None,
        *,
        stop_at_failure: bool = False,
    ) -> list[Outcome]:
        """See `base.Sandbox.run`."""
        limits = limits or self.limits
        judge: Callable[[Test], Outcome]
        if isinstance(submission, IOIProgram):
            judge = contest.ioi(self, submission, limits)
        elif isinstance(submission, CodeforcesProgram):
            judge = contest.codeforces(self, submission, limits)
        else:
            judge = self._plain(submission, limits)
        outcomes: list[Outcome] = []
        for test in tests:
            if stop_at_failure and outcomes and not outcomes[-1].passed:
                outcomes.append(Outcome(Verdict.SKIPPED))
            else:
                outcomes.append(judge(test))
        return outcomes

    def execute(
        self, language: str, files: Mapping[str, bytes], args: Sequence[str], stdin: bytes, limits: Limits
    ) -> Executed:
        """Compile and run one program once: the first file is the program, the others lie beside it.

        Raises:
            ConfigError: no such language here.
            ValueError: a file's name leads out of the working folder.
        """
        known = find(language)
        given = dict(files)
        first = next(iter(given))
        files = {known.file: given.pop(first), **{checked(name): content for name, content in given.items()}}
        compiled = self.compile(known.compile, files, known.made, limits) if known.compile else None
        if compiled and not compiled.well:
            return Executed(compiled, None)
        return Executed(compiled, self.once(job_of(known, files, compiled, args, stdin), allowed(known, limits)))

    def compile(self, command: Sequence[str], files: Mapping[str, bytes], made: str, limits: Limits) -> Execution:
        """Run a compiler in a box; the same files are compiled once.

        Returns:
            An execution that went well and collected `made`, or one that did not.
        """
        key = hashlib.sha256(repr((command, sorted(files.items()), made, limits.compile_seconds)).encode()).digest()
        with self.turn:
            if known := self.cache.get(key):
                self.cache.move_to_end(key)
                return known
        room = Limits(
            seconds=limits.compile_seconds,
            wall_seconds=2 * limits.compile_seconds,
            memory=max(COMPILER_MEMORY, limits.memory),
            processes=256,
            open_files=1024,
            file_size=256 << 20,
        )
        done = self.once(Job(command, files, collect=[made]), room)
        if done.well and made not in done.collected:
            done = replace(done, code=1, stderr=done.stderr + f"the compiler made no {made}".encode())
        if not done.failure:
            with self.turn:
                self.cache[key] = done
                while sum(_size(item) for item in self.cache.values()) > CACHE and len(self.cache) > 1:
                    self.cache.popitem(last=False)
        return done

    def once(self, job: Job, limits: Limits) -> Execution:
        """Run one job in any box; a box that fails is replaced once, then its failure is the result."""
        return self.together(1, lambda boxes: boxes[0].run(job, limits))

    def together(self, count: int, work: Callable[[list[Box]], Execution]) -> Execution:
        """Do what needs several boxes at once."""
        failure = ""
        closings = self.closings
        for _ in range(2):
            try:
                with self._boxes(count) as boxes:
                    done = work(boxes)
            except SandboxError as error:
                failure = str(error)
                if self.closings > closings:
                    return Execution(failure="the sandbox was closed meanwhile")
                log.warning("sandbox: a box was lost, another takes its job: %s", failure)
                continue
            if not done.failure:
                return done
            failure = done.failure
        return Execution(failure=failure)

    def close(self) -> None:
        """End all boxes; new ones are made when they are needed."""
        with self.turn:
            self.closings += 1
            idle, self.idle = self.idle, []
            busy = self.boxes.difference(idle)
        for box in busy:
            box.end()
        for box in idle:
            self._closed(box)

    def forget(self) -> None:
        """In a process forked from the one that made the boxes: leave them to that one."""
        for box in self.boxes:
            box.forget()
        self.turn, self.boxes, self.idle, self.busy = threading.Condition(), set(), [], 0
        self.waiting = deque()

    def _plain(self, program: Program, limits: Limits) -> Callable[[Test], Outcome]:
        language = find(program.language)
        files = {language.file: text(program.source)}
        files |= {checked(name): text(content) for name, content in program.files.items()}
        compiled = self.compile(language.compile, files, language.made, limits) if language.compile else None
        if compiled and not compiled.well:
            refused = outcome_of(compiled) if compiled.failure else Outcome(Verdict.REFUSED, detail=words_of(compiled))
            return lambda test: refused
        room = allowed(language, limits)

        def judge(test: Test) -> Outcome:
            done = self.once(job_of(language, files, compiled, program.args, text(test.input)), room)
            if not done.well:
                return outcome_of(done)
            output = done.stdout.decode(errors="replace")
            passed = test.output is None or same_lines(output, test.output)
            return outcome_of(done, Verdict.PASSED if passed else Verdict.WRONG, float(passed))

        return judge

    @contextmanager
    def _boxes(self, count: int) -> Iterator[list[Box]]:
        """`count` boxes for this thread alone; those that fail are not given back."""
        with self.turn:
            self.waiting.append(ticket := object())  # first come, first served: many boxes at once must not starve
            try:
                self.turn.wait_for(
                    lambda: self.waiting[0] is ticket and (self.busy == 0 or self.busy + count <= self.workers)
                )
            finally:
                self.waiting.remove(ticket)
                self.turn.notify_all()
            self.busy += count
            closings = self.closings
            taken = [self.idle.pop() for _ in range(min(count, len(self.idle)))]
        try:
            with ExitStack() as stack:
                for box in taken:
                    stack.callback(self._closed, box)
                while len(taken) < count:
                    taken.append(self._new(closings))
                    stack.callback(self._closed, taken[-1])
                yield taken
                stack.pop_all()
            with self.turn:
                if self.closings == closings:
                    self.idle += taken
                    taken = []
            for box in taken:
                self._closed(box)
        finally:
            with self.turn:
                self.busy -= count
                self.turn.notify_all()

    def _new(self, closings: int) -> Box:
        box = Box(container.interpreter(self.python), self.visible, self.tree)
        with self.turn:
            open_still = self.closings == closings
            if open_still:
                self.boxes.add(box)
        if not open_still:
            box.close()
            raise SandboxError("the sandbox was closed")
        if not self.said:
            self.said = True
            holder = "a cgroup" if box.group else "a watcher, which looks every few milliseconds and kills"
            log.info("sandbox: memory and processes of a program's tree are held by %s", holder)
        return box

    def _closed(self, box: Box) -> None:
        with self.turn:
            self.boxes.discard(box)
        box.close()


def _forget() -> None:
    for sandbox in list(alive):
        sandbox.forget()


os.register_at_fork(after_in_child=_forget)


def _size(done: Execution) -> int:
    return sum(map(len, done.collected.values())) + len(done.stderr) + len(done.stdout)
