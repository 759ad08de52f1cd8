"""Parallel coordinates: one upright axis for each thing that was varied and one for the objective, one line a run.

Drawn here, so that the page shows it without its script; the script lets a reader keep the runs that pass a stretch
of an axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from r1lab.report.words import number

WIDTH, TOP, BOTTOM, MARGIN = 150, 44, 300, 70
AXES = 7  # with the objective's
_LOG, _TICKS, _LABEL = 10, 5, 17


@dataclass(frozen=True)
class Axis:
    """`ticks` are (y, label); the best value of the objective's axis stands on top."""

    title: str
    hint: str
    x: float
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Thread:
    """A run's line: `ys` where it crosses the axes, `share` from 0 (the worst run) to 1 (the best)."""

    run: str
    label: str
    ys: list[float]
    share: float

    @property
    def points(self) -> str:
        return " ".join(f"{MARGIN + place * WIDTH},{y:g}" for place, y in enumerate(self.ys))


@dataclass(frozen=True)
class Parallel:
    axes: list[Axis]
    threads: list[Thread]  # the best one last, on top of the others
    left_out: int

    @property
    def width(self) -> int:
        return 2 * MARGIN + (len(self.axes) - 1) * WIDTH


def parallel(
    runs: Sequence[tuple[str, dict[str, str | float], float | None]], key: str, lower: bool
) -> Parallel | None:
    """The figure; None where fewer than two runs have a value of the objective, or nothing was varied.

    Args:
        runs: each one's name, settings and objective, the best first.
        key: the objective's metric.
        lower: whether less of it is better.
    """
    known = [(name, settings, value) for name, settings, value in runs if value is not None]
    if len(known) < 2:
        return None
    varied = [name for name in known[0][1] if len({str(settings[name]) for _, settings, _ in known}) > 1][: AXES - 1]
    if not varied:
        return None
    columns = [_places([settings[name] for _, settings, _ in known]) for name in varied]
    columns.append(_places([value for _, _, value in known], lower))
    titles = [*(name.rsplit(".", 1)[-1] for name in varied), key]
    hints = [*varied, f"{key}, the best on top"]
    axes = [
        Axis(_short(title), hint, MARGIN + place * WIDTH, ticks)
        for place, (title, hint, (_, ticks)) in enumerate(zip(titles, hints, columns, strict=True))
    ]
    last = len(known) - 1
    threads = []
    for place, (name, settings, value) in enumerate(known):
        said = ", ".join(f"{key}={_shown(settings[key])}" for key in varied)
        threads.append(
            Thread(name, f"{name}: {said}: {number(value)}", [ys[place] for ys, _ in columns], 1 - place / last)
        )
    return Parallel(axes, threads[::-1], len(runs) - len(known))


def _places(values: Sequence[str | float], lower: bool = False) -> tuple[list[float], list[tuple[float, str]]]:
    """Where values stand on an axis, and its ticks: by size where all are numbers, else one place for each word."""
    numbers = [value for value in values if isinstance(value, float | int)]
    if len(numbers) < len(values):
        words = sorted({str(value) if isinstance(value, str) else number(value) for value in values})
        step = 1 / max(1, len(words) - 1)
        at = {word: _y(place * step if len(words) > 1 else 0.5) for place, word in enumerate(words)}
        ys = [at[_shown(value)] for value in values]
        return ys, [(y, _short(word)) for word, y in at.items()]
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low > _LOG

    def share(value: float) -> float:
        if high == low:
            return 0.5
        part = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
        return 1 - part if lower else part

    distinct = sorted(set(numbers))
    if len(distinct) > _TICKS:
        parts = [place / (_TICKS - 1) for place in range(_TICKS)]
        distinct = [low * (high / low) ** part if log else low + (high - low) * part for part in parts]
    return [_y(share(value)) for value in numbers], [(_y(share(value)), number(value, 3)) for value in distinct]


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)
