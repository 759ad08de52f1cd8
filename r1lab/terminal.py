"""What r1lab prints with: as wide as the terminal is, or wide enough for a table where there is none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

WIDTH = 160  # characters of a table where no terminal says how wide it is
EVERY = 5.0  # seconds between plain lines of what takes its time, where there is no terminal


def terminal(stderr: bool = False) -> Console:
    """A console on standard output, or on standard error; what is printed is never taken for the name of an emoji."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, width=width)


def live(console: Console, *more: ProgressColumn) -> Progress:
    """A bar with what is done, the time it took and the time that is left, and any columns after those."""
    from rich import progress as bars  # a plan needs none

    columns = (
        bars.TextColumn("[bold]{task.description}[/]"),
        bars.BarColumn(bar_width=24),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("eta"),
        bars.TimeRemainingColumn(),
    )
    return bars.Progress(*columns, *more, console=console)
