"""The live line that everything that takes its time shows in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

EVERY = 5.0  # seconds between plain lines, where there is no terminal


def live(console: Console, *more: ProgressColumn) -> Bar:
    """A bar with what is done, the time it took and the time that is left, and any columns after those."""
    columns = (TextColumn("[bold]{task.description}[/]"), BarColumn(bar_width=24), MofNCompleteColumn())
    return Bar(*columns, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(), *more, console=console)
