"""Failures of another machine that are worth another try, and how long to wait before it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

Result = TypeVar("Result")
FIRST, MOST = 0.5, 15.0  # seconds before the second try, and at most between two


class Unavailable(Exception):
    """The other side could not do its part; the caller turns that into an outcome of its own.

    Args:
        cause: what a reader needs to know.
        again: whether another try may go better.
        after: seconds that the other side asks to be left alone.
    """

    def __init__(self, cause: str, *, again: bool = True, after: float | None = None):
        self.cause, self.again, self.after = cause, again, after
        super().__init__(cause)


def delay(attempt: int, after: float | None = None) -> float:
    """Seconds to wait after failed attempt number `attempt` (0 is the first): doubling, with jitter, as asked at least.

    Many clients that failed together come back at different times ("equal jitter": half of it is chance).
    """
    wait = min(MOST, FIRST * 2 ** min(attempt, 30))
    jittered = wait / 2 + random.random() * wait / 2
    return max(jittered, min(after, 60.0) * (1 + random.random() / 4)) if after else jittered


def seconds_of(header: str | None) -> float | None:
    """A Retry-After header in seconds; None where there is none or it is a date."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


async def retried(call: Callable[[], Awaitable[Result]], tries: int) -> Result:
    """The result of a call that may fail, tried up to `tries` times.

    Raises:
        Unavailable: of the last try, or of one that says that no other will go better.
        CancelledError: whoever waits has gone; some libraries make a failed connection of that.
    """
    for attempt in range(tries):
        try:
            return await call()
        except Unavailable as failure:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from failure
            if not failure.again or attempt == tries - 1:
                raise
            await asyncio.sleep(delay(attempt, failure.after))
    raise Unavailable("not tried: tries is 0", again=False)


def tail(text: str, most: int = 2000) -> str:
    """The end of a long text, where programs say what went wrong."""
    return text if len(text) <= most else f"…{text[-most:]}"
