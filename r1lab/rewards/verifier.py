"""math-verify in a process of its own: any input costs a bounded time and memory, whatever thread it comes from.

math-verify limits its time by SIGALRM: that fails off the main thread, does not interrupt native code (a huge power),
and a comparison that it gives up counts as unequal. Here a comparison that takes too long has no verdict.

    python -m r1lab.rewards.verifier 3      # reads a JSON list [answer, gold] per line, replies true, false or null
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from functools import lru_cache
from types import FrameType
from typing import Any

from r1lab.errors import RewardError

SECONDS = 3.0  # of processor time for one comparison; native code that cannot be interrupted gets GRACE more
GRACE = 2.0
PATIENCE = 3  # real time that may pass, as a multiple of SECONDS, on a machine with much else to do
START_SECONDS = 120.0
MEMORY = 4 << 30  # bytes of address space


class Verifier:
    """Asks a process of its own, started on first use and again after it had to be killed.

    Args:
        seconds: of processor time for one comparison.
    """

    def __init__(self, seconds: float = SECONDS):
        self.seconds = seconds
        self.lock = threading.Lock()
        atexit.register(self.close)
        self.child: subprocess.Popen[bytes] | None = None

    def equal(self, answer: str | None, gold: str) -> bool | None:
        """Whether math-verify finds the answer equal to the gold one; no answer is wrong.

        Returns:
            None where the gold answer cannot be read or the comparison takes too long.
        """
        with self.lock:
            child = self.child if self.child and self.child.poll() is None else self._start()
            line = _ask(child, json.dumps([answer, gold]), self.seconds * PATIENCE)
            if line is None:
                self.close()
                return None
        verdict: bool | None = json.loads(line)
        return verdict

    def close(self) -> None:
        """End the process; it is started again when it is needed."""
        if child := self.child:
            self.child = None
            child.kill()
            child.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        self.child = subprocess.Popen(
            [sys.executable, "-m", "r1lab.rewards.verifier", str(self.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # an interrupt from the terminal is for this process, which closes the pipe
        )
        if _ask(self.child, '[null, "1"]', START_SECONDS) != b"false\n":
            raise RewardError("math-verify's process does not start; its last words are above")
        return self.child


def _ask(child: subprocess.Popen[bytes], line: str, seconds: float) -> bytes | None:
    """The child's reply, whole; None if it dies or does not reply in time."""
    assert child.stdin and child.stdout
    try:
        child.stdin.write(line.encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return None
    ready, _, _ = select.select([child.stdout], [], [], seconds)
    return child.stdout.readline() or None if ready else None


class TooLong(BaseException):
    """Raised by the timer; no `except Exception` of a library may take it for a verdict."""


def main(seconds: float) -> None:
    """Serve until the pipe is closed."""
    logging.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGVTALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime + seconds + GRACE)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))  # the kernel's, even if nobody waits
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            verdict = compare(*json.loads(line))
        except (TooLong, MemoryError, RecursionError):
            verdict = None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        print(json.dumps(verdict), flush=True)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooLong


def compare(answer: str | None, gold: str) -> bool | None:
    """`Verifier.equal`, in this process."""
    from math_verify import verify  # sympy: a second that only this process needs

    expected = expressions(gold)
    if not expected:
        return None
    if answer is None:
        return False
    return bool(verify(list(expected), list(expressions(answer)), timeout_seconds=None))


@lru_cache(maxsize=65536)
def expressions(text: str) -> tuple[Any, ...]:
    """What math-verify reads in a text: its boxed or `$…$` part, else the whole; empty where it can read nothing."""
    from math_verify import LatexExtractionConfig, parse

    anchored = text if "\\boxed" in text or "$" in text else f"${text}$"
    return tuple(parse(anchored, extraction_config=[LatexExtractionConfig()], parsing_timeout=None))


if __name__ == "__main__":
    main(float(sys.argv[1]))
