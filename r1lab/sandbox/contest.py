"""How contests judge: IOI tasks with graders, checkers and managers, and Codeforces problems with checkers.

The meaning is that of the packages cms_ioi 1.0.0 and codeforces 1.0.0 of Piston, as Open-R1's data sets use them; the
way is another: submission, checker and manager each run in a box of their own, so that a submission can neither read
the expected output nor touch its judge, and each is compiled once for all tests.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Test, Verdict
from r1lab.sandbox.box import Box
from r1lab.sandbox.job import Execution, Job
from r1lab.sandbox.jobs import allowed, apart, checked, job_of, outcome_of, text, words_of
from r1lab.sandbox.languages import find
from r1lab.sandbox.task_settings import BY_NAME, MANAGER_WORDS, PROCESSES, communicates, judges, settings_of

CHECKER = Limits(seconds=10, wall_seconds=30, memory=2 << 30, file_size=256 << 20)
MANAGER_WALL = 10.0  # seconds that a manager may wait beyond what its program may take
COMPILE = ("g++", "-std=gnu++17", "-O2", "-pipe", "-o", "program")
INPUT, EXPECTED, OUTPUT = "input.txt", "correct_output.txt", "output.txt"
BROKEN = "the task's own checker fails"  # how the detail of a fault of the data set begins
Judge = Callable[[Test], Outcome]


class Runner(Protocol):
    """What a judge needs of a sandbox."""

    def compile(self, command: Sequence[str], files: Mapping[str, bytes], made: str, limits: Limits) -> Execution:
        """A compiled program, from the cache if it was compiled before."""

    def once(self, job: Job, limits: Limits) -> Execution:
        """One job in one box."""

    def together(self, count: int, work: Callable[[list[Box]], Execution]) -> Execution:
        """Work that needs several boxes at the same time."""


def ioi(runner: Runner, program: IOIProgram, limits: Limits) -> Judge:
    """The judge of an IOI task: Batch (stdin to stdout, checked) or Communication (with a manager at the other end).

    Without a checker, outputs are compared as `diff -b` does. The score is the first number that checker or manager
    prints; its words are the feedback. What a task asks for and cannot have is INFRASTRUCTURE, as its broken judge is.
    """
    try:
        graders = {checked(name): text(content) for name, content in program.graders.items() if content}
        apart(graders)
        settings = settings_of(graders)
    except ValueError as error:
        unfit = Outcome(Verdict.INFRASTRUCTURE, detail=str(error))
        return lambda test: unfit
    sources = {name: content for name, content in graders.items() if not judges(name)}
    sources[f"graders/{program.task}.cpp"] = text(program.source)
    units = [
        name for name in (f"graders/{program.task}.cpp", "graders/grader.cpp", "graders/stub.cpp") if name in sources
    ]
    built = runner.compile((*COMPILE, "-DEVAL", "-s", *units), sources, "program", limits)
    if refused := _refused(built):
        return lambda test: refused
    checker, manager = (_helper(runner, graders, name) for name in ("checker/checker.cpp", "graders/manager.cpp"))
    for helper in (checker, manager):
        if helper and not helper.well:
            words = f"{BROKEN}: its source does not compile: {words_of(helper)}"
            broken = outcome_of(helper) if helper.failure else Outcome(Verdict.INFRASTRUCTURE, detail=words)
            return lambda test: broken

    def judge(test: Test) -> Outcome:
        given = text(test.input)
        if manager and communicates(settings):
            done, manager_words = _communicate(runner, built, manager, given, settings, limits)
        else:
            done, manager_words = runner.once(Job(("./program",), built.collected, given, stack=True), limits), ""
        if not done.well:
            return outcome_of(done)
        if checker and test.output is not None:
            return _checked(runner, _native(checker), test, done)
        if manager:
            return _graded(done, _number(done.stdout), manager_words)
        right = test.output is None or _like_diff(done.stdout.decode(errors="replace")) == _like_diff(test.output)
        return _graded(done, float(right), "")

    return judge


def codeforces(runner: Runner, program: CodeforcesProgram, limits: Limits) -> Judge:
    """The judge of a Codeforces problem: its checker if it has one, else words compared, yes and no without case."""
    language = find({"cpp": "c++17"}.get(program.language, program.language))
    files = {language.file: text(program.source)}
    built = runner.compile(language.compile, files, language.made, limits) if language.compile else None
    if built and (refused := _refused(built)):
        return lambda test: refused
    by_file = program.input_mode == "file"

    def judge(test: Test) -> Outcome:
        given = text(test.input.replace("\r\n", "\n"))
        job = job_of(language, {**files, **({INPUT: given} if by_file else {})}, built, (), b"" if by_file else given)
        done = runner.once(replace(job, collect=(OUTPUT,)) if by_file else job, allowed(language, limits))
        if not done.well:
            return outcome_of(done)
        if by_file:
            done = replace(done, stdout=done.collected.get(OUTPUT, b""))
        done = replace(
            done, stdout=b"".join(line for line in done.stdout.splitlines(keepends=True) if line.strip(b"\r\n"))
        )
        if test.output is None:
            return _graded(done, 1.0, "")
        if program.checker is None:
            return _graded(done, float(_folded(done.stdout.decode(errors="replace")) == _folded(test.output)), "")
        expected = "".join(line for line in test.output.replace("\r\n", "\n").splitlines(keepends=True) if line != "\n")
        return _checked(runner, _scripted(program.checker), Test(test.input, expected), done, full=("1", "100"))

    return judge


def _helper(runner: Runner, graders: Mapping[str, bytes], name: str) -> Execution | None:
    """A judge's own program, compiled with the headers that lie around."""
    if name not in graders:
        return None
    headers = {other: content for other, content in graders.items() if other == name or other.endswith((".h", ".hpp"))}
    return runner.compile((*COMPILE, "-Ichecker", "-Igraders", name), headers, "program", Limits())


def _refused(built: Execution) -> Outcome | None:
    if built.failure:
        return outcome_of(built)
    return None if built.well else Outcome(Verdict.REFUSED, detail=words_of(built))


def _native(checker: Execution) -> Callable[[Mapping[str, bytes]], Job]:
    return lambda files: Job(("./program", INPUT, EXPECTED, OUTPUT), {**checker.collected, **files}, stack=True)


def _scripted(source: str) -> Callable[[Mapping[str, bytes]], Job]:
    return lambda files: Job(None, {"main.py": text(source), **files}, args=(INPUT, EXPECTED, OUTPUT))


def _checked(
    runner: Runner,
    checker: Callable[[Mapping[str, bytes]], Job],
    test: Test,
    done: Execution,
    full: Sequence[str] = (),
) -> Outcome:
    """The outcome by a checker's word.

    A checker that breaks on the submission's output, but not on the expected one, was broken by the submission: that
    is wrong. One that breaks on both cannot judge: that is infrastructure.

    Args:
        full: what it prints for a right answer, where it prints no score.
    """
    expected = text(test.output or "")

    def grade(output: bytes) -> tuple[Execution, float | None]:
        said = runner.once(checker({INPUT: text(test.input), EXPECTED: expected, OUTPUT: output}), CHECKER)
        word = said.stdout.decode(errors="replace").strip()
        return said, (float(word in full) if full else _number(said.stdout)) if said.well else None

    said, score = grade(done.stdout)
    if score is None and not said.failure:
        again, on_expected = grade(expected)
        if again.failure:
            return outcome_of(again)
        if on_expected is None:
            words = f"{BROKEN}: the checker fails on the expected output too: {words_of(again)}"
            return Outcome(Verdict.INFRASTRUCTURE, detail=words)
        score = 0.0
    if said.failure:
        return outcome_of(said)
    return _graded(done, score, words_of(said))


def _graded(done: Execution, score: float | None, feedback: str) -> Outcome:
    if score is None:
        return Outcome(Verdict.INFRASTRUCTURE, detail=f"{BROKEN}: it printed no score: {feedback}")
    score = min(1.0, max(0.0, score))
    return outcome_of(done, Verdict.PASSED if score == 1.0 else Verdict.WRONG, score, feedback)


def _number(printed: bytes) -> float | None:
    """The first word as a number; None where it is none."""
    words = printed.split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None


def _like_diff(output: str) -> list[str]:
    """Lines as `diff -b` sees them: runs of blanks alike, blanks at a line's end and empty lines at the end aside."""
    lines = [re.sub(r"[ \t\r\f\v]+", " ", line).rstrip() for line in output.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _folded(output: str) -> list[str]:
    """Words, with yes and no in upper case."""
    return [word.upper() if word.lower() in ("yes", "no") else word for word in output.split()]


def _communicate(
    runner: Runner, built: Execution, manager: Execution, given: bytes, settings: Mapping[str, Any], limits: Limits
) -> tuple[Execution, str]:
    """A program's processes and the manager, each in a box of its own, joined by pipes.

    Returns:
        The first of the program's executions that did not go well, else the manager's; and the manager's words.
    """
    count = settings.get(PROCESSES, 1)
    by_name = settings.get(BY_NAME, "std_io") == "fifo_io"
    extra_words = text(str(settings.get(MANAGER_WORDS, ""))).decode().split()
    words: list[str] = []

    def work(boxes: list[Box]) -> Execution:
        with ThreadPoolExecutor(count + 1) as threads:
            users, ends = [], []
            for number in range(count):
                (hear, tell), (from_user, to_manager) = os.pipe(), os.pipe()  # manager to program, program to manager
                for fd in (hear, tell, from_user, to_manager):
                    os.fchmod(fd, 0o666)  # they are opened again by name, by another user
                index = [str(number)] if count > 1 else []
                if by_name:
                    argv = ["./program", "/dev/fd/3", "/dev/fd/4", *index]
                    job = Job(argv, built.collected, extra=(hear, to_manager), stack=True)
                else:
                    job = Job(["./program", *index], built.collected, stdin=hear, stdout=to_manager, stack=True)
                users.append(job)
                ends += [from_user, tell]
            paths = [f"/dev/fd/{3 + place}" for place in range(len(ends))]
            judge = Job(["./program", *paths, *extra_words], manager.collected, given, extra=ends, stack=True)
            room = replace(limits, wall_seconds=limits.wall_seconds + MANAGER_WALL)
            managing = threads.submit(boxes[0].run, judge, replace(room, seconds=CHECKER.seconds), give_away=True)
            running = [
                threads.submit(box.run, job, limits, give_away=True) for box, job in zip(boxes[1:], users, strict=True)
            ]
            ended = [future.result() for future in running]
            judged = managing.result()
        words.append(judged.stderr[-2000:].decode(errors="replace").strip())
        faults = [done for done in ended if not done.well and done.signal != "SIGPIPE"]
        if judged.well and not any(done.cause for done in faults) and (judged.stdout.strip() or not faults):
            return judged
        return (faults or [judged])[0]  # a manager that falls silent with its program is not broken

    done = runner.together(count + 1, work)
    return done, words[-1] if words else ""
