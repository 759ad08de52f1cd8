"""What a generation made, on its page: lengths and ends of all completions, how fast they came, and what failed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1lab.report.charts import Chart
from r1lab.report.plots import bars, shares
from r1lab.report.records import Run
from r1lab.report.words import cut, number, percent

FILE = "generation.json"
ENDS = {  # how a completion ended → what to call it, and its colour
    "stop": ("ended by itself", 0),
    "length": ("cut at the length limit", 1),
    "refusal": ("refused", 2),
    "overflow": ("prompt too long", 3),
    "error": ("failed", 4),
}


@dataclass(frozen=True)
class Made:
    """The page's section: charts, figures in words, and the causes of failures with how often each occurred."""

    charts: list[Chart]
    facts: list[tuple[str, str]]
    causes: list[tuple[str, str]]


def made(run: Run) -> Made | None:
    """The section for a run's generation; None where it left no record that can be read."""
    record = read(run)
    finishes = {name: count for name, count in _mapping(record, "finishes").items() if _count(count)}
    total = sum(finishes.values())
    if not total:
        return None
    charts = [_ends(finishes, total)]
    if lengths := _lengths(record):
        charts.insert(0, lengths)
    kept, problems = _count(record.get("kept")), _count(record.get("problems"))
    speed = record.get("tokens_per_second")  # a run that found all of them made knows none
    facts = [
        ("completions", number(_count(record.get("completions")))),
        ("problems", number(problems)),
        ("tokens", number(_count(record.get("tokens")))),
        *([("tokens a second", number(speed))] if isinstance(speed, int | float) and speed > 0 else []),
        ("kept for SFT", f"{number(kept)}, of {number(_count(record.get('kept_problems')))} problems"),
    ]
    causes = [(cut(str(cause), 200), number(_count(times))) for cause, times in _mapping(record, "causes").items()]
    return Made(charts, facts, causes[:20])


def read(run: Run) -> dict[str, Any]:
    """The record that the task left; empty where there is none."""
    try:
        found = json.loads((run.path / FILE).read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lengths(record: Mapping[str, Any]) -> Chart | None:
    """A histogram of tokens, stacked by how the completions ended."""
    width = _count(record.get("bin_width"))
    stacks: list[tuple[int, Sequence[int]]] = []
    legend: list[tuple[str, str, int | None]] = []
    for finish, counts in _mapping(record, "lengths").items():
        if isinstance(counts, list) and all(isinstance(item, int) for item in counts) and any(counts):
            name, colour = ENDS.get(finish, (finish, 5))
            stacks.append((colour, counts))
            legend.append((name, number(sum(counts)), colour))
    if not width or not stacks or len({len(counts) for _, counts in stacks}) > 1:
        return None
    return Chart("Length", "tokens of a completion", legend, bars(stacks, width, "tokens", "histogram of lengths"))


def _ends(finishes: Mapping[str, int], total: int) -> Chart:
    rows = [(*ENDS.get(name, (name, 5)), finishes[name]) for name in sorted(finishes, key=lambda item: -finishes[item])]
    legend: list[tuple[str, str, int | None]] = [
        (name, f"{number(count)} ({percent(count / total)})", colour) for name, colour, count in rows
    ]
    drawn = shares([(name, colour, count / total) for name, colour, count in rows], "shares of how completions ended")
    return Chart("How they ended", "share of all that were asked for", legend, drawn)


def _mapping(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
