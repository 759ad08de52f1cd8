"""task=leaderboard: the results of many evaluations, in the terminal and on a page."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from r1lab.evaluation.board import Column, columns, results_under
from r1lab.report.leaderboard import write_leaderboard
from r1lab.terminal import terminal


def run(cfg: DictConfig) -> None:
    """Show every evaluation at or below `task.runs`, and write the page.

    Raises:
        DataError: there is none.
        ReportError: the page cannot be written.
    """
    found = columns(results_under(list(cfg.task.runs)))
    console = terminal()
    for column in found:
        console.print(table(column))
        for letter, words in column.conditions:
            console.print(f"  {letter}: {words}", markup=False)
    page = Path(cfg.task.page) if cfg.task.page else Path(cfg.task.runs[0]) / "leaderboard.html"
    console.print(str(write_leaderboard(page, found)), markup=False)


def table(column: Column) -> Table:
    """One benchmark's results, for the terminal."""
    shown = Table(title=f"{column.benchmark}, {column.measure}", show_edge=False, pad_edge=False, title_justify="left")
    for heading in ("model", "score", "95 % interval", "samples", "evaluator", "conditions", "mind"):
        shown.add_column(heading, overflow="fold")
    for entry in column.entries:
        interval = "" if entry.low is None or entry.high is None else f"{entry.low:.1%} to {entry.high:.1%}"
        times = f"{entry.samples or '?'}" + (f" × {entry.problems}" if entry.problems else "")
        mind = f"{len(entry.doubts)}: {entry.doubts[0]}" if entry.doubts else ""
        cells = (entry.model, f"{entry.value:.1%}", interval, times, entry.evaluator, entry.conditions, mind)
        shown.add_row(*map(escape, cells))
    return shown
