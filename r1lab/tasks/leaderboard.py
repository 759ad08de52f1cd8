"""task=leaderboard: the results of many evaluations, in the terminal and on a page."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from r1lab.evaluation.board import Column, Entry, columns, results_under
from r1lab.report.leaderboard import write_leaderboard
from r1lab.terminal import terminal

ROOM = 120  # columns of a terminal from which a table of it can be read


def run(cfg: DictConfig) -> None:
    """Show every evaluation at or below `task.runs`, and write the page.

    Raises:
        DataError: there is none.
        ReportError: the page cannot be written.
    """
    found = columns(results_under(list(cfg.task.runs)))
    console = terminal()
    for column in found:
        if console.width >= ROOM:
            console.print(table(column))
        else:
            console.print("\n".join(listed(column)), markup=False)
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
        shown.add_row(*map(escape, cells(entry)))
    return shown


def listed(column: Column) -> list[str]:
    """One benchmark's results for a narrow terminal: of each the score and the model, and below them the rest."""
    lines = [f"{column.benchmark}, {column.measure}"]
    for entry in column.entries:
        model, score, interval, times, evaluator, conditions, mind = cells(entry)
        rest = [*([interval] if interval else []), f"{times} samples", evaluator, f"conditions {conditions}"]
        lines += [f"{score:>6}  {model}", f"        {', '.join(rest)}", *([f"        mind {mind}"] if mind else [])]
    return lines


def cells(entry: Entry) -> tuple[str, str, str, str, str, str, str]:
    """What is shown of a result, in the order of the table's columns."""
    interval = "" if entry.low is None or entry.high is None else f"{entry.low:.1%} to {entry.high:.1%}"
    times = f"{entry.samples or '?'}" + (f" × {entry.problems}" if entry.problems else "")
    mind = f"{len(entry.doubts)}: {entry.doubts[0]}" if entry.doubts else ""
    return entry.model, f"{entry.value:.1%}", interval, times, entry.evaluator, entry.conditions, mind
