"""What r1lab prints with: as wide as the terminal is, or wide enough for a table where there is none."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

WIDTH = 160  # characters of a table where no terminal says how wide it is
EVERY = 5.0  # seconds between plain lines of what takes its time, where there is no terminal
SLOW = 3.0  # seconds after which it is said what is being waited for
RARELY = 300.0  # the most seconds between two lines about it

log = logging.getLogger("r1lab")


def terminal(stderr: bool = False) -> Console:
    """A console on standard output, or on standard error; what is printed is never taken for the name of an emoji."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, width=width)


@contextmanager
def lengthy(what: str) -> Iterator[None]:
    """Say what is being done once that takes longer than `SLOW` seconds, and ever more rarely how long it has taken.

    Of several processes the first one says it. What took long stands in the log as well, with its seconds.

    Args:
        what: as in "loading model NAME from WHERE".
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    began, over = time.monotonic(), threading.Event()

    def watch() -> None:
        pause = SLOW
        while not over.wait(pause):
            seconds = time.monotonic() - began
            text = what if pause == SLOW else f"{what}: {duration(seconds)} so far"
            with suppress(OSError, ValueError):  # nobody reads any more: the run's own next line finds that out
                sys.stdout.write(f"{text}\n")  # the stream of now: a live bar prints it above itself
                sys.stdout.flush()
            log.info("%s", text)
            pause = min(3 * seconds, RARELY)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        if (seconds := time.monotonic() - began) > SLOW:
            log.info("%s: took %s", what, duration(seconds))


def left(seconds: float | None) -> str:
    """The time that is left, for a bar; None while nobody can know it."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def live(console: Console, *more: ProgressColumn) -> Progress:
    """A bar with what is done, the time it took and the time that is left, and any columns after those.

    The time that is left is the task's field `eta`, as `left` says it: a bar that begins in the middle, or moves in
    leaps, knows no speed by itself.
    """
    from rich import progress as bars  # a plan needs none

    columns = (
        bars.TextColumn("[bold]{task.description}[/]"),
        bars.BarColumn(bar_width=24),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("eta [cyan]{task.fields[eta]}[/]"),
    )
    return bars.Progress(*columns, *more, console=console)
