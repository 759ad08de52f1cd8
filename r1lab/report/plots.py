"""The figures, as SVG text to stand inside a page.

Colours are written as the page's CSS variables, so that one drawing serves light and dark; text stays text. The output
depends on the data alone: fixed hash salt, no date.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from r1lab.report.records import Series
from r1lab.report.words import clean, cut

COLOURS = 8  # --s0 … --s7 in the style sheet; --rest for what stands behind
POINTS = 240  # a figure is about 400 pixels wide
_WIDTH, _HEIGHT = 350, 175
_LARGEST = 1e30  # beyond this matplotlib's own arithmetic overflows
_TICK_WIDTH, _NAMED_TICKS = 14, 6

# Colours that no drawing uses otherwise; each is exchanged for the variable.
_INK, _GRID, _REST, _FIRST = "#010101", "#010102", "#010103", "#020100"
_VARIABLES = {_INK: "--ink-soft", _GRID: "--grid", _REST: "--rest"}
_VARIABLES |= {f"#0201{i:02x}": f"--s{i}" for i in range(COLOURS)}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "r1lab",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.formatter.limits": (-3, 5),
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.color": _INK,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Line:
    """One curve; `low` and `high` bound its interval. `colour` is 0 … 7, or None for the quiet grey behind the
    others."""

    series: Series
    colour: int | None = 0
    low: Series | None = None
    high: Series | None = None


@dataclass(frozen=True)
class Point:
    """One run in a sweep's plot: the parameter's value (a number, or a word for a categorical axis), the objective."""

    x: float | str
    y: float
    low: float | None = None
    high: float | None = None


def curves(lines: Sequence[Line], label: str, may_spike: bool = False) -> Markup:
    """The lines over the steps. Curves of more than 240 points are drawn as means with a band from minimum to maximum.

    `may_spike` lets the y axis be logarithmic when the largest value is more than 50 times the median.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas()
        for line in lines:
            _draw(axes, line)
        if may_spike and _spikes(lines):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(_plain)
            axes.yaxis.minorticks_off()
        else:
            _y_limits(axes, lines)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.set_xlabel("step", loc="right", labelpad=1)
        return _svg(figure, label)


def scatter(points: Sequence[Point], x_label: str, label: str) -> Markup:
    """The objective against one parameter: logarithmic when positive values span more than a decade, categorical when
    not all are numbers."""
    numeric = [p.x for p in points if isinstance(p.x, float) and abs(p.x) < _LARGEST]
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas()
        if len(numeric) == len(points):
            xs = list(numeric)
            if min(xs) > 0 and max(xs) / min(xs) > 10:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(_plain)
                if len(set(xs)) <= _NAMED_TICKS:
                    axes.set_xticks(sorted(set(xs)))
                axes.xaxis.minorticks_off()
        else:
            words = list(dict.fromkeys(str(p.x) for p in points))
            xs = [float(words.index(str(p.x))) for p in points]
            axes.set_xticks(range(len(words)), [_tick(word) for word in words])
            axes.set_xlim(-0.5, len(words) - 0.5)
        for x, p in zip(xs, points, strict=True):
            if p.low is not None and p.high is not None:
                axes.plot([x, x], _bounded(np.array([p.low, p.high])), color=_FIRST, linewidth=1.2, alpha=0.5)
        ys = _bounded(np.array([p.y for p in points]))
        axes.plot(xs, ys, "o", color=_FIRST, markersize=5.5)
        axes.set_xlabel(_tick(x_label, 60), loc="right", labelpad=1)
        return _svg(figure, label)


def bars(stacks: Sequence[tuple[int, Sequence[int]]], width: float, x_label: str, label: str) -> Markup:
    """A histogram of bins that are `width` wide from 0 on: (colour, counts) of each part, stacked."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _canvas()
        edges = np.arange(len(stacks[0][1])) * width
        below = np.zeros(len(edges))
        for colour, counts in stacks:
            axes.bar(edges, counts, width * 0.92, below, align="edge", color=f"#0201{colour % COLOURS:02x}")
            below += np.array(counts, dtype=float)
        axes.set_xlim(0, len(edges) * width)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlabel(x_label, loc="right", labelpad=1)
        return _svg(figure, label)


def shares(rows: Sequence[tuple[str, int, float]], label: str) -> Markup:
    """Shares from 0 to 1 as bars that lie, the first on top: (name, colour, share)."""
    with matplotlib.rc_context({**_STYLE, "axes.grid.axis": "x"}):
        figure, axes = _canvas()
        axes.set_position((0.34, 0.19, 0.62, 0.74))
        places = list(range(len(rows), 0, -1))
        axes.barh(places, [share for _, _, share in rows], 0.6, color=[f"#0201{c % COLOURS:02x}" for _, c, _ in rows])
        axes.set_yticks(places, [_tick(name, 22) for name, _, _ in rows])
        axes.set_xlim(0, 1)
        axes.set_ylim(0.3, max(3, len(rows)) + 0.7)
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        return _svg(figure, label)


def thinned(series: Series, points: int = POINTS) -> tuple[NDArray[np.float64], ...]:
    """Steps, means, minima and maxima over `points` equal stretches, NaN for a stretch without a value; or the series
    itself three times over, when it is short enough."""
    values = _bounded(series.values)
    if values.size <= points:
        return series.steps, values, values, values
    starts = np.arange(points) * values.size // points
    known = np.isfinite(values)
    count = np.add.reduceat(known.astype(float), starts)
    empty = count == 0
    mean = np.add.reduceat(np.where(known, values, 0.0), starts) / np.maximum(count, 1)
    low = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    steps = np.add.reduceat(series.steps, starts) / np.diff(np.append(starts, values.size))
    return steps, *(np.where(empty, np.nan, part) for part in (mean, low, high))


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
    return figure, figure.add_axes((44 / _WIDTH, 34 / _HEIGHT, 1 - 56 / _WIDTH, 1 - 50 / _HEIGHT))


def _draw(axes: Axes, line: Line) -> None:
    steps, mean, low, high = thinned(line.series)
    colour = _REST if line.colour is None else f"#0201{line.colour % COLOURS:02x}"
    if line.low is not None and line.high is not None:
        below, above = (
            np.interp(steps, *_known(bound)) if bound.finite.size else mean for bound in (line.low, line.high)
        )
        axes.fill_between(steps, below, above, color=colour, alpha=0.16, linewidth=0)
    elif line.series.values.size > POINTS and line.colour is not None:
        axes.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0)
    few = np.isfinite(mean).sum() <= 30
    order = 1.5 if line.colour is None else 2
    axes.plot(steps, mean, color=colour, linewidth=1.6, marker="o" if few else None, markersize=3.5, zorder=order)


def _known(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = np.isfinite(series.values)
    return series.steps[known], np.clip(series.values[known], -_LARGEST, _LARGEST)


def _bounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values too large to draw become gaps."""
    return np.where(np.abs(values) < _LARGEST, values, np.nan)


def _y_limits(axes: Axes, lines: Sequence[Line]) -> None:
    """Shares and 0-to-1 rewards are drawn on the whole range from 0 to 1, so that a wiggle does not look like a
    rise."""
    drawn = [s.finite for line in lines for s in (line.series, line.low, line.high) if s is not None and s.finite.size]
    if drawn and min(part.min() for part in drawn) >= 0 and 0.2 < max(part.max() for part in drawn) <= 1:
        axes.set_ylim(-0.03, 1.03)


def _spikes(lines: Sequence[Line]) -> bool:
    values = np.concatenate([line.series.finite for line in lines])
    return bool(values.size and values.min() > 0 and values.max() / 50 > np.median(values))


def _plain(value: float, _: float | None) -> str:
    """A tick of a logarithmic axis; matplotlib's own is TeX."""
    return f"{value:g}"


def _tick(word: str, width: int = _TICK_WIDTH) -> str:
    word = clean(word).replace("\n", " ").replace("\t", " ")
    return word if len(word) <= width else word[: width - 1] + "…"


def _svg(figure: Figure, label: str) -> Markup:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The browser sets the text, in fonts of its own; that matplotlib's font lacks a sign only makes its width a
        # guess.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<style.*?</style>", "", text, count=1, flags=re.DOTALL
    )  # a rule for every element: here, of the page
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text, count=1)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), text)
    text = re.sub("|".join(_VARIABLES), lambda colour: f"var({_VARIABLES[colour.group()]})", text)
    ids = re.sub(r"\W+", "-", clean(cut(label, 40)))
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{ids}-", text)
    return Markup(text.replace("<svg ", Markup('<svg aria-label="{}" ').format(clean(label)), 1))
