"""From what a program left behind to the verdict on it; shared by every sandbox that runs programs elsewhere."""

from __future__ import annotations

import re

from r1lab.remote.retrying import tail
from r1lab.sandbox.base import Outcome, Test, Verdict, same_lines

OUT_OF_MEMORY = re.compile(r"^MemoryError\b|std::bad_alloc|OutOfMemoryError|JavaScript heap out of memory", re.M)


def ended_badly(stderr: str, how: str, *, output: str = "", seconds: float = 0.0, memory: int = 0) -> Outcome:
    """The outcome of a program that ended with an error: MEMORY where its last words say so, else CRASHED.

    Args:
        stderr: its last words.
        how: "exit code 1", "signal SIGSEGV".
        output: what it printed.
        seconds: of processor time.
        memory: bytes at the peak.
    """
    verdict = Verdict.MEMORY if OUT_OF_MEMORY.search(stderr) else Verdict.CRASHED
    detail = f"{how}\n{tail(stderr)}".strip()
    return Outcome(verdict, output=output, detail=detail, seconds=seconds, memory=memory)


def compared(output: str, test: Test, *, seconds: float = 0.0, memory: int = 0) -> Outcome:
    """The outcome of a program that ended well, its output compared line by line with what is expected."""
    right = test.output is None or same_lines(output, test.output)
    verdict, score = (Verdict.PASSED, 1.0) if right else (Verdict.WRONG, 0.0)
    return Outcome(verdict, score, output, seconds=seconds, memory=memory)


def failed(cause: str) -> Outcome:
    """The outcome of a test that the sandbox could not run."""
    return Outcome(Verdict.INFRASTRUCTURE, detail=cause)


def refused(said: str) -> Outcome:
    """The outcome of a test whose program the compiler did not take."""
    return Outcome(Verdict.REFUSED, detail=tail(said))


def stopped(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes with everything after the first that is not passed SKIPPED."""
    for number, outcome in enumerate(outcomes):
        if not outcome.passed:
            return outcomes[: number + 1] + [Outcome(Verdict.SKIPPED)] * (len(outcomes) - number - 1)
    return outcomes
