"""math-verify in a process of its own: any input costs a bounded time and memory, whatever thread it comes from.

math-verify limits its time by SIGALRM: that fails off the main thread, does not interrupt native code (a huge power),
and a comparison that it gives up counts as unequal. Here such a comparison is told apart.

    python -m r1lab.rewards.verifier 3      # reads a JSON list [answer, gold] per line, replies in JSON

Replies: true, false, null where the gold answer cannot be read, "too long" where the limit was met, "faulty"
where comparing raised an exception.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import signal
import sys
from functools import lru_cache
from types import FrameType
from typing import Any

from r1lab.processes.leash import die_with

TOO_LONG = "too long"
FAULTY = "faulty"
GRACE = 2.0  # seconds of processor time that native code gets on top, since it cannot be interrupted
MEMORY = 4 << 30  # bytes of address space
FAR = 1e-3
NEAR = 1e-5  # of the gold number's size: how far a rounded one may be off


class TooLong(BaseException):
    """Raised by the timer; no `except Exception` of a library may take it for a verdict."""


def main(seconds: float) -> None:
    """Serve until the pipe is closed or the parent is gone."""
    logging.disable()
    die_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGVTALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    compare("1", "1")  # imports what is needed: no question's time
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime + seconds + GRACE)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))  # the kernel's, even if nobody waits
        reply: bool | str | None = TOO_LONG
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            reply = compare(*json.loads(line))
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except (TooLong, MemoryError, RecursionError):
            reply = TOO_LONG
        except Exception:  # noqa: BLE001 - whatever sympy raises; the next text may be compared
            reply = FAULTY
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        print(json.dumps(reply), flush=True)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooLong


def compare(answer: str | None, gold: str) -> bool | None:
    """Whether math-verify finds the answer equal to the gold one; None where the gold one cannot be read.

    Args:
        answer: None: only whether the gold one can be read; then False.
        gold: LaTeX, or a text with LaTeX between its marks.
    """
    from math_verify import verify  # sympy: a second that only this process needs

    expected = expressions(gold)
    if not expected:
        return None
    if answer is None:
        return False
    found = expressions(answer)
    if not found or apart(expected[0], found[0]) or not verify(list(expected), list(found), timeout_seconds=None):
        return False
    return expected[-1] == found[-1] or near(expected[0], found[0])


def near(gold: Any, found: Any) -> bool:
    """Whether a decimal is near enough to what it rounds.

    math-verify compares the first six decimals, so that every small number would equal every other.
    """
    from sympy import Float  # type: ignore[import-untyped]

    values = numbers(gold, found)
    if values is None or not (gold.has(Float) or found.has(Float)):
        return True
    return abs(values[0] - values[1]) <= NEAR * max(map(abs, values))


def apart(gold: Any, found: Any) -> bool:
    """Whether two values differ beyond doubt: what takes math-verify ten times as long to prove."""
    values = numbers(gold, found)
    if values is None:
        return differ_exactly(gold, found)
    return abs(values[0] - values[1]) > FAR * max(1.0, *map(abs, values))


def differ_exactly(gold: Any, found: Any) -> bool:
    """Whether both are rational numbers, and different ones: for numbers too large for floating point."""
    from sympy import Expr, UnevaluatedExpr

    if not all(isinstance(item, Expr) and not item.has(UnevaluatedExpr) for item in (gold, found)):
        return False
    if gold.free_symbols or found.free_symbols:
        return False
    values = gold.doit(), found.doit()
    return all(value.is_Rational for value in values) and bool(values[0] != values[1])


def numbers(gold: Any, found: Any) -> tuple[complex, complex] | None:
    """The values of two expressions, at one point where they have variables, the same ones; None where they have none
    that floating point can hold, or a percent sign, which may mean two things."""
    from sympy import Expr, UnevaluatedExpr

    if not all(isinstance(item, Expr) and not item.has(UnevaluatedExpr) for item in (gold, found)):
        return None
    if gold.free_symbols != found.free_symbols:
        return None
    point = {symbol: 0.7 + 0.31 * place for place, symbol in enumerate(sorted(gold.free_symbols, key=str))}
    try:
        values = complex(gold.doit().subs(point)), complex(found.doit().subs(point))
        sizes = [abs(values[0]), abs(values[1]), abs(values[0] - values[1])]
    except (TypeError, ValueError, ArithmeticError):
        return None
    return values if all(map(math.isfinite, sizes)) else None


@lru_cache(maxsize=65536)
def expressions(text: str) -> tuple[Any, ...]:
    """What math-verify reads in a text: its boxed or marked part, else the whole; empty where it can read nothing."""
    from math_verify import LatexExtractionConfig, parse

    marked = any(mark in text for mark in ("\\boxed", "$", "\\(", "\\["))
    found = parse(text if marked else f"${text}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None)
    return tuple(found)


if __name__ == "__main__":
    main(float(sys.argv[1]))
