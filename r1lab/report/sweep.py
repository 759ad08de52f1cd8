"""A sweep's page and table: its runs side by side, the best first, with what differs between them and what came out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.markup import escape
from rich.table import Table

from r1lab.errors import ReportError
from r1lab.report.charts import Chart
from r1lab.report.parallel import parallel
from r1lab.report.plots import COLOURS, Line, Point, curves, scatter
from r1lab.report.records import Run, is_run, read_run
from r1lab.report.rendering import render, write
from r1lab.report.score import Estimate, as_number, final, is_value, lower_is_better
from r1lab.report.settings import differences, shown
from r1lab.report.tries import as_asked, tries_of
from r1lab.report.words import clean, cut, duration, value_of
from r1lab.runs.states import FAILED, FINISHED, INTERRUPTED, RUNNING, WAITING, coloured

RANKED = (FINISHED, RUNNING, INTERRUPTED, WAITING, FAILED)  # all that a folder alone can say
_METRICS, _PLOTS, _NAMED = 4, 4, 8  # columns of further metrics, plots against a parameter, runs with a colour


@dataclass(frozen=True)
class Row:
    """One run of a sweep. `settings` holds the keys that differ between the runs, `metrics` the key figures at the
    end."""

    name: str
    run: Run
    settings: dict[str, str | float]
    key: str  # the objective's metric
    objective: Estimate | None
    metrics: dict[str, float | None]
    lower: bool = False  # whether less of the objective is better

    @property
    def status(self) -> str:
        return self.run.status

    @property
    def cause(self) -> str:
        return self.run.cause or ""

    @property
    def tries(self) -> str:
        return tries_of(self.run)


def read_sweep(folder: Path, objective: str | None = None, direction: str | None = None) -> list[Row]:
    """The runs under a multirun's folder, best first; those that did not finish last.

    `objective` is the metric to sort by; without it the one that the runs name in their summary, else eval/accuracy.
    `direction` is "maximize" or "minimize"; without it what the runs' config says in `sweep.direction`, else higher is
    better but for losses, divergences and times. Raises ReportError when the folder cannot be read or holds
    no run, or when the runs that finished know other metrics but not this one.
    """
    folder = Path(folder)
    try:
        places = [place for place in folder.iterdir() if place.is_dir() and (place.name.isdecimal() or is_run(place))]
    except OSError as error:
        raise ReportError(f"{folder} is not a sweep's folder that can be read: {error.strerror or error}") from error
    if not places:
        raise ReportError(f"{folder} holds no runs: a sweep's folder has one folder per run, named 0, 1, 2 …")
    places.sort(
        key=lambda place: (not place.name.isdecimal(), int(place.name) if place.name.isdecimal() else 0, place.name)
    )
    runs = [read_run(place) for place in places]
    key = objective or _named_objective(runs)
    if objective:
        _require(objective, runs)
    metrics = _key_metrics(runs, key)
    lower = _lower(runs, key, direction)
    rows = [
        Row(run.path.name, run, settings, key, final(run, key), {m: _metric(run, m) for m in metrics}, lower)
        for run, settings in zip(runs, differences([as_asked(run) for run in runs]), strict=True)
    ]
    return sorted(rows, key=_rank)


def sweep_table(rows: Sequence[Row]) -> Table:
    """The runs as a table for the terminal: the settings, the objective, two more metrics, the status with its
    cause."""
    table = Table(show_edge=False, pad_edge=False)
    if not rows:
        return table
    metrics = list(rows[0].metrics)[:2]
    settings = [name.removeprefix("trainer.") for name in rows[0].settings]
    for title in ("run", *settings, rows[0].key, *metrics, "time"):
        table.add_column(escape(clean(title)), justify="left" if title == "run" else "right", overflow="fold")
    table.add_column("status", overflow="fold", min_width=12)
    for row in rows:
        cells = [
            row.name,
            *_settings(row),
            _value(row),
            *(value_of(key, row.metrics[key]) for key in metrics),
            _time(row),
        ]
        told = "; ".join(text for text in (cut(row.cause, 300), row.tries) if text)
        cause = f": {escape(clean(told))}" if told else ""
        table.add_row(*(escape(clean(cell)) for cell in cells), f"{coloured(row.status)}{cause}")
    return table


def best_of(rows: Sequence[Row]) -> Row | None:
    """The best run of a sweep; None where none finished with a value of the objective."""
    return rows[0] if rows and rows[0].status == FINISHED and rows[0].objective else None


def record_of(best: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """The best run for scripts; `equal` names those that are as good, where there are some."""
    equal = equal_to(best, rows)
    return {
        "run": best.name,
        "metric": best.key,
        "direction": "minimize" if best.lower else "maximize",
        "value": best.objective.value if best.objective else None,
        "settings": best.settings,
        **({"equal": equal} if len(equal) > 1 else {}),
    }


def equal_to(best: Row, rows: Sequence[Row]) -> list[str]:
    """The names of the runs that are as good as the best one, itself among them."""
    value = best.objective.value if best.objective else None
    return [row.name for row in rows if row.status == FINISHED and row.objective and row.objective.value == value]


def said_of(best: Row, rows: Sequence[Row]) -> str:
    """The best run in a line; of several equal ones, that they are equal."""
    equal = equal_to(best, rows)
    if len(equal) > 1:
        return clean(f"{len(equal)} runs are equal: {best.key} {_value(best)}  (runs {', '.join(equal)})")
    settings = " ".join(f"{key}={shown(value)}" for key, value in best.settings.items())
    return clean(f"run {best.name}: {best.key} {_value(best)}  {settings}").strip()


def write_sweep(folder: Path, objective: str | None = None, direction: str | None = None) -> Path:
    """Write the sweep's page, sweep.html, into its folder and return its path. Raises ReportError as `read_sweep`
    does."""
    rows = read_sweep(folder, objective, direction)
    best = best_of(rows)
    page = render(
        "sweep.html.j2",
        "sort.js",
        "parallel.js",
        name=Path(folder).absolute().name,
        folder=str(Path(folder).absolute()),
        key=rows[0].key,
        direction="lower is better" if rows[0].lower else "higher is better",
        best=best,
        equal=equal_to(best, rows) if best else [],
        best_value=value_of(best.key, best.objective.value) if best and best.objective else "",
        best_interval=_interval(best),
        best_settings=[(name, shown(value)) for name, value in best.settings.items()] if best else [],
        counts=[(s, sum(row.status == s for row in rows)) for s in RANKED],
        header=["run", "status", *rows[0].settings, rows[0].key, *rows[0].metrics, "time"],
        table=[(row, _link(row), _columns(row)) for row in rows],
        parallel=parallel(
            [(r.name, r.settings, r.objective.value if r.objective else None) for r in rows if r.status == FINISHED],
            rows[0].key,
            rows[0].lower,
        ),
        plots=_parameter_plots(rows),
        overlays=_overlays(rows),
    )
    return write(Path(folder) / "sweep.html", page)


def _named_objective(runs: Sequence[Run]) -> str:
    named = (run.summary.get("objective") for run in runs)
    return next((name for name in named if isinstance(name, str) and name), "eval/accuracy")


def _lower(runs: Sequence[Run], key: str, direction: str | None) -> bool:
    """Whether less of the objective is better. Raises ReportError for a direction that is none."""
    said = [sweep.get("direction") for run in runs if isinstance(sweep := run.config.get("sweep"), dict)]
    asked = direction or next((word for word in said if word), None)
    if asked not in (None, "maximize", "minimize"):
        raise ReportError(f"{asked} is no direction: maximize or minimize")
    return lower_is_better(key) if asked is None else asked == "minimize"


def _require(objective: str, runs: Sequence[Run]) -> None:
    known = {key for run in runs for key, value in run.summary.items() if as_number(value) is not None}
    known |= {key for run in runs for key in run.series}
    if known and objective not in known:
        nearest = difflib.get_close_matches(objective, known, n=1, cutoff=0.3)
        hint = f" The nearest is {nearest[0]}." if nearest else ""
        raise ReportError(f"No run of this sweep has the metric {objective}.{hint}")


def _key_metrics(runs: Sequence[Run], key: str) -> list[str]:
    """Further columns: the evaluation's other metrics and the reward."""
    keys = [k for run in runs for k in (*run.summary, *run.series) if k.startswith("eval/") and is_value(k)]
    known = [k for k in dict.fromkeys([*keys, "reward"]) if k != key and any(final(run, k) for run in runs)]
    return known[:_METRICS]


def _metric(run: Run, key: str) -> float | None:
    estimate = final(run, key)
    return estimate.value if estimate else None


def _rank(row: Row) -> tuple[int, bool, float]:
    """Finished runs by their objective, those without one behind them; then the others."""
    value = row.objective.value if row.objective else 0.0
    return RANKED.index(row.status), row.objective is None, value if row.lower else -value


def _columns(row: Row) -> list[tuple[str, str]]:
    """The cells of the page's table after run and status: as shown, and as sorted (empty ones go last)."""
    settings = zip(_settings(row), row.settings.values(), strict=True)
    figures = [(_value(row), row.objective.value if row.objective else None)]
    figures += [(value_of(key, value), value) for key, value in row.metrics.items()]
    cells = [*settings, *figures, (_time(row), row.run.seconds)]
    return [(text, "" if sort in (None, "–") else str(sort)) for text, sort in cells]


def _settings(row: Row) -> list[str]:
    return [shown(setting) for setting in row.settings.values()]


def _value(row: Row) -> str:
    return value_of(row.key, row.objective.value) if row.objective else "–"


def _time(row: Row) -> str:
    return duration(row.run.seconds)


def _interval(row: Row | None) -> str:
    if row is None or row.objective is None or row.objective.low is None or row.objective.high is None:
        return ""
    return f"95 % interval {value_of(row.key, row.objective.low)} to {value_of(row.key, row.objective.high)}"


def _link(row: Row) -> str:
    """The run's page, if it has one; the name may hold any character that a folder's name may hold."""
    return (
        f"./{quote(row.name, errors='surrogateescape')}/report.html" if (row.run.path / "report.html").is_file() else ""
    )


def _parameter_plots(rows: Sequence[Row]) -> list[Chart]:
    """The objective against each parameter that differs, for the runs that finished."""
    done = [row for row in rows if row.status == FINISHED and row.objective]
    charts = []
    varied = [name for name in rows[0].settings if len({str(row.settings[name]) for row in done}) > 1]
    for name in varied[:_PLOTS]:
        points = [
            Point(r.settings[name], r.objective.value, r.objective.low, r.objective.high) for r in done if r.objective
        ]
        points.sort(key=lambda p: (isinstance(p.x, str), p.x if isinstance(p.x, float) else 0.0, str(p.x)))
        charts.append(Chart(f"{rows[0].key} against {name}", "", [], scatter(points, name, f"against {name}")))
    return charts


def _overlays(rows: Sequence[Row]) -> list[Chart]:
    """The runs' curves laid over each other: the best eight coloured, the others grey."""
    charts = []
    for key in dict.fromkeys((rows[0].key, "eval/accuracy", "reward")):
        drawn = [
            (place, row) for place, row in enumerate(rows) if key in row.run.series and row.run.series[key].finite.size
        ]
        if not drawn:
            continue
        colours = [place if place < min(_NAMED, COLOURS) else None for place, _ in drawn]
        lines = [Line(row.run.series[key], colour) for colour, (_, row) in zip(colours, drawn, strict=True)]
        legend: list[tuple[str, str, int | None]] = [
            (_label(row), value_of(key, row.run.series[key].last), colour)
            for colour, (_, row) in zip(colours, drawn, strict=True)
            if colour is not None
        ]
        if len(legend) < len(drawn):
            legend.append((f"{len(drawn) - len(legend)} more", "", None))
        charts.append(Chart(key, "one line a run", legend, curves(lines[::-1], f"all runs {key}")))
    return charts


def _label(row: Row) -> str:
    settings = ", ".join(f"{key.rsplit('.', 1)[-1]}={shown(value)}" for key, value in list(row.settings.items())[:3])
    return f"{row.name}: {settings}" if settings else row.name
