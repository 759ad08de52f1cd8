"""The leaderboard: results of many runs on one page, a sortable table for each benchmark, and words to filter by."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from r1lab.report.rendering import render, write

HEADER = ("model", "score", "95 % interval", "samples", "evaluator", "conditions", "mind")


def write_leaderboard(path: Path, columns: Sequence[Any]) -> Path:
    """Write the page.

    Args:
        path: the file.
        columns: of each benchmark `benchmark`, `measure`, `conditions` (letter, words) and `entries`, each with
            `model`, `value`, `low`, `high`, `problems`, `samples`, `evaluator`, `conditions`, `doubts`, `folder` and
            `published`.

    Raises:
        ReportError: the folder refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = [(column, [(entry, _link(path, entry)) for entry in column.entries]) for column in columns]
    every = [entry for column in columns for entry in column.entries]
    page = render(
        "leaderboard.html.j2",
        "leaderboard.js",
        header=HEADER,
        tables=tables,
        models=len({entry.model for entry in every}),
        evaluators=sorted({entry.evaluator for entry in every if not entry.published}),
    )
    return write(path, page)


def _link(path: Path, entry: Any) -> str:
    """The published figure's source, or the run's page where there is one."""
    if entry.published:
        return str(entry.folder)
    page = Path(entry.folder) / "report.html"
    return quote(os.path.relpath(page, path.parent.resolve()), errors="surrogateescape") if page.is_file() else ""
