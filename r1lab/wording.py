"""Words, counts and paths as messages show them."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path


def display(path: Path) -> str:
    """A path relative to the working directory where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def plural(count: float, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def killed_by(number: int) -> str:
    """How a process ended that a signal ended."""
    name = signal.Signals(number).name
    hint = " (by hand, or by the kernel because memory ran out)" if number == signal.SIGKILL else ""
    return f"killed by {name}{hint}"


def nearest(word: str, valid: Iterable[str]) -> str:
    """The valid word closest to `word`, or "" when none is close."""
    candidates = list(valid)
    match = get_close_matches(word, candidates, n=1, cutoff=0.6)
    if match:
        return match[0]
    contained = [item for item in candidates if min(len(word), len(item)) > 2 and (word in item or item in word)]
    return min(contained, key=len, default="")


def some(words: Iterable[str], most: int = 12, like: str = "") -> str:
    """Words as a list for a message; where there are more than `most`, those that look most `like` a word."""
    ordered = sorted(set(words))
    if len(ordered) <= most:
        return ", ".join(ordered)
    closest = sorted(ordered, key=lambda item: -SequenceMatcher(None, like, item).ratio())[:most]
    return f"{', '.join(closest)}, … ({len(ordered)} in all)"
