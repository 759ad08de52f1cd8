"""What r1lab prints with: as wide as the terminal is, or wide enough for a table where there is none."""

from __future__ import annotations

import sys

from rich.console import Console

WIDTH = 160  # characters of a table where no terminal says how wide it is


def terminal(stderr: bool = False) -> Console:
    """A console on standard output, or on standard error; what is printed is never taken for the name of an emoji."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, width=width)
