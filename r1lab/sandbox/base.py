"""What a sandbox is: it runs a program on tests, under limits, and says of each test what became of it.

Expected outputs never enter a sandbox: a program's output comes out and is compared out here (or by a checker that runs
in a box of its own), so that no program can read the answers or print its own verdict. An outcome says whose fault it
was: INFRASTRUCTURE is never the program's, and never counts as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """What became of a program on one test."""

    PASSED = "passed"
    WRONG = "wrong"  # it ended well, with another output
    TIMEOUT = "timeout"  # more processor or wall time than allowed
    MEMORY = "memory"  # more memory than allowed, over all its processes
    CRASHED = "crashed"  # an exit status, a signal, or another limit (processes, output, file size)
    REFUSED = "refused"  # the compiler did not take it
    SKIPPED = "skipped"  # not run, since an earlier test failed and the scoring needs no more
    INFRASTRUCTURE = "infrastructure"  # the sandbox failed, not the program


@dataclass(frozen=True)
class Limits:
    """What one test may use: over all processes that the program starts.

    Args:
        seconds: of processor time.
        wall_seconds: of real time.
        memory: bytes, files in /tmp and shared memory included.
        processes: alive at once, threads included.
        file_size: bytes of any one file.
        open_files: open at once, by one process.
        output: bytes of what it prints, each of stdout and stderr.
        compile_seconds: of processor time for the compiler; twice that in real time.
    """

    seconds: float = 5.0
    wall_seconds: float = 10.0
    memory: int = 1 << 30
    processes: int = 64
    file_size: int = 64 << 20
    open_files: int = 256
    output: int = 16 << 20
    compile_seconds: float = 30.0


@dataclass(frozen=True)
class Test:
    """One input and the output that is expected; None where any output will do.

    A judge with a checker of its own reads `output` as the checker's reference.
    """

    input: str = ""
    output: str | None = None

    __test__ = False  # not a class for pytest to collect


@dataclass(frozen=True)
class Program:
    """A submission in one file that reads stdin and writes stdout.

    Args:
        language: a name or alias of `r1lab.sandbox.languages`.
        source: its text.
        files: beside it: name → text.
        args: its command-line arguments.
    """

    language: str
    source: str
    files: Mapping[str, str] = field(default_factory=dict)
    args: Sequence[str] = ()


@dataclass(frozen=True)
class IOIProgram:
    """A submission to an IOI task, linked with the task's grader; Piston's package cms_ioi.

    Args:
        task: its short name, which names the submission's file and header.
        source: the submission, C++.
        graders: name → text, as in the data set: graders/grader.cpp, graders/TASK.h, graders/manager.cpp,
            checker/checker.cpp, graders/grader_config.json …
    """

    task: str
    source: str
    graders: Mapping[str, str]


@dataclass(frozen=True)
class CodeforcesProgram:
    """A submission to a Codeforces problem; Piston's package codeforces.

    Args:
        language: "python" or "cpp".
        source: the submission.
        checker: Python source of the checker, called with the paths of input, expected output and output; it prints 1
            where the output is right. None: outputs are compared by words, yes and no without case.
        input_mode: "stdio", or "file" for problems that read input.txt and write output.txt.
    """

    language: str
    source: str
    checker: str | None = None
    input_mode: str = "stdio"


Submission = Program | IOIProgram | CodeforcesProgram


@dataclass(frozen=True)
class Outcome:
    """What became of one test.

    Args:
        verdict: see `Verdict`.
        score: 0 to 1; a checker may give a part.
        output: what the program printed, cut at the limit.
        detail: what a reader needs to see: the compiler's words, the last of stderr, the limit that was met, the cause
            of an infrastructure failure.
        seconds: of processor time, all processes.
        memory: bytes at the peak, where that is known.
    """

    verdict: Verdict
    score: float = 0.0
    output: str = ""
    detail: str = ""
    seconds: float = 0.0
    memory: int = 0

    @property
    def passed(self) -> bool:
        """Whether the test is passed in full."""
        return self.verdict is Verdict.PASSED


class Sandbox(Protocol):
    """Runs programs that nobody trusts. Safe to call from several threads at once."""

    def run(
        self,
        submission: Submission,
        tests: Sequence[Test],
        limits: Limits | None = None,
        *,
        stop_at_failure: bool = False,
    ) -> list[Outcome]:
        """Compile the submission once and run it on every test.

        Args:
            submission: what to run.
            tests: (T,) its inputs.
            limits: None: the sandbox's own.
            stop_at_failure: the tests after the first that is not passed are SKIPPED.

        Returns:
            (T,) outcomes. A failure of the sandbox itself is an outcome too; nothing is raised for it.

        Raises:
            ConfigError: this sandbox cannot run such a submission at all (a language without a compiler, a contest
                judge that a provider does not offer).
        """
        ...

    def close(self) -> None:
        """End what is running and free everything; the sandbox may be used again afterwards."""
        ...


def same_lines(output: str, expected: str) -> bool:
    """Whether two outputs agree line by line, outer white space of lines and of the whole aside.

    Lines end at a line feed alone: a form feed or a carriage return in the middle of one is no new line.
    """
    ours, theirs = ([line.strip() for line in text.strip().split("\n")] for text in (output, expected))
    return ours == theirs
