"""A pipeline's page: the path in figures, and its stages as a flow, each with what it takes and what came of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from r1lab.errors import ReportError, ResumeError
from r1lab.report.records import Run, is_run, read_run
from r1lab.report.rendering import render, write
from r1lab.report.score import Score, as_number, score
from r1lab.report.words import cut, duration, number, percent, value_of
from r1lab.runs.pipeline import FILE, read
from r1lab.runs.states import FAILED, FINISHED, INTERRUPTED, RUNNING, STATES, WAITING

PAGE = "pipeline.html"
LEFT = "leave"  # what a start does with a stage outside its bounds
BOUNDS = ("from", "until")
MADE = "made"  # of a generation: how many completions there are, and how many are kept
NOTES = 4
DECISIVE = (FAILED, RUNNING, INTERRUPTED, WAITING)  # for the whole path, the first that a stage has


@dataclass(frozen=True)
class Bar:
    """A share with its 95 % interval, in percent of the track's width."""

    left: float
    width: float
    mark: float


@dataclass(frozen=True)
class Step:
    """One stage as the page shows it.

    Attributes:
        rank: how many stages come before it, at least: the row of the flow that it stands in.
        takes: (stage, output) pairs.
        link: its own page, relative to the pipeline's; "" where there is none.
        told: why it waits, how it failed, or that it was skipped.
        key: the metric of `value`; before and after training, where it trains.
    """

    name: str
    task: str
    rank: int
    status: str
    takes: list[tuple[str, str]]
    link: str
    told: str
    took: str
    key: str
    before: str
    value: str
    interval: str
    change: str
    better: bool | None
    bars: list[Bar]
    notes: list[str]


def is_pipeline(folder: Path) -> bool:
    """Whether a folder is a pipeline's."""
    return (folder / FILE).is_file()


def write_pipeline(folder: Path, running: str = "", ahead: Sequence[str] = ()) -> Path:
    """Write the page of a pipeline into its folder and return its path.

    Args:
        folder: the pipeline's.
        running: the stage that begins now.
        ahead: those that this start has still to run, whatever became of them in an earlier one.

    Raises:
        ReportError: the folder holds no pipeline that can be read, or cannot be written.
    """
    folder = Path(folder)
    record = read_record(folder)
    steps = steps_of(folder, record, {**dict.fromkeys(ahead, WAITING), running: RUNNING})
    rows = [[step for step in steps if step.rank == rank] for rank in sorted({step.rank for step in steps})]
    counts = [(status, sum(step.status == status for step in steps)) for status in STATES]
    failed = next((step for step in steps if step.status == FAILED), None)
    page = render(
        "pipeline.html.j2",
        name=str(record.get("name") or folder.name),
        status=RUNNING
        if running
        else next((state for state in DECISIVE if any(step.status == state for step in steps)), FINISHED),
        failed=failed,
        counts=[(status, count) for status, count in counts if count],
        rows=rows,
        steps=steps,
        measured=[step for step in steps if step.bars],
        command=command_of(record, steps),
        folder=str(folder.absolute()),
    )
    return write(folder / PAGE, page)


def read_record(folder: Path) -> dict[str, Any]:
    """What the pipeline's last start meant to do.

    Raises:
        ReportError: there is none that can be read.
    """
    try:
        record = read(folder)
    except ResumeError as error:
        raise ReportError(f"{folder} holds no pipeline: {error}") from error
    if not record.get("stages"):
        raise ReportError(f"{folder} holds no pipeline: {FILE} is missing, or names no stage")
    return record


def command_of(record: dict[str, Any], steps: list[Step]) -> str:
    """What goes on with a pipeline; without the bound of a start that has done all that it was to do."""
    command = str(record.get("command") or "")
    left = [item for item in record["stages"] if item["does"] == LEFT]
    told = {item["name"] for item in left}
    if not left or any(step.status != FINISHED for step in steps if step.name not in told):
        return command
    words = shlex.split(command)
    for key in BOUNDS:
        if any(f"task.{key}=" in str(item.get("why")) for item in left):
            kept = [word for word in words if word.lstrip("+").partition("=")[0] != f"task.{key}"]
            words = kept if kept != words else [*words, f"task.{key}=null"]  # said by a file
    return shlex.join(words)


def steps_of(folder: Path, record: dict[str, Any], now: Mapping[str, str] | None = None) -> list[Step]:
    """The stages in the order in which they run; `now` has states that their folders do not tell yet."""
    ranks: dict[str, int] = {}
    steps: list[Step] = []
    for item in record["stages"]:
        takes = [(str(name), str(output)) for name, output in item.get("takes", [])]
        ranks[item["name"]] = 1 + max((ranks.get(name, 0) for name, _ in takes), default=-1)
        place = Path(item["folder"])
        run = read_run(place) if place.is_dir() and is_run(place) else None
        waits = [name for name, _ in takes if any(s.name == name and s.status != FINISHED for s in steps)]
        state = (now or {}).get(item["name"], "")
        steps.append(_step(folder, item, ranks[item["name"]], takes, None if state else run, waits, state))
    return steps


def _step(
    folder: Path,
    item: dict[str, Any],
    rank: int,
    takes: list[tuple[str, str]],
    run: Run | None,
    waits: list[str],
    state: str,
) -> Step:
    begun = run is not None and bool(run.manifest)
    status = run.status if run is not None and begun else state or WAITING
    told = (run.cause or "") if run is not None and begun else str(item.get("why") or "") if state == RUNNING else ""
    if status == WAITING:
        told = str(item.get("why") or "") if item["does"] == LEFT else f"after {waits[0]}" if waits else ""
    elif status == FINISHED and item.get("does") == "skip":
        told = "skipped by the last start: it had finished before"
    result = score(run) if run is not None and begun else None
    page = Path(item["folder"]) / "report.html"
    link = quote(os.path.relpath(page, folder), errors="surrogateescape") if page.is_file() else ""
    notes = run.summary.get("notes") if run is not None else None
    key, before, value, interval = _figures(run, result)
    return Step(
        name=item["name"],
        task=str(item.get("task", "")),
        rank=rank,
        status=status,
        takes=takes,
        link=link,
        told=told,
        took=duration(run.seconds) if run is not None and run.seconds is not None else "",
        key=key,
        before=before,
        value=value,
        interval=interval,
        change=_change(result),
        better=result.improved if result and result.change and result.apart else None,
        bars=_bars(result),
        notes=[cut(str(note), 300) for note in notes[:NOTES]] if isinstance(notes, list) else [],
    )


def _figures(run: Run | None, result: Score | None) -> tuple[str, str, str, str]:
    """The metric that stands for a stage: its key, the value before, the value, and the interval in words."""
    kept, rows = (as_number(run.summary.get(name)) for name in ("kept", "rows")) if run is not None else (None, None)
    if kept is not None and rows and run is not None and not run.trained:
        return MADE, "", f"{number(kept)} of {number(rows)}", "kept"
    if result is None or result.after is None:
        return "", "", "", ""
    after, before = result.after, result.before
    interval = ""
    if after.low is not None and after.high is not None:
        interval = f"95 % interval {value_of(result.key, after.low)} to {value_of(result.key, after.high)}"
    return result.key, value_of(result.key, before.value) if before else "", value_of(result.key, after.value), interval


def _change(result: Score | None) -> str:
    if result is None or result.change is None or not 0 <= (result.before.value if result.before else -1) <= 1:
        return ""
    return percent(result.change, signed=True).replace("%", "points")


def _bars(result: Score | None) -> list[Bar]:
    """The estimates of a share, before and after, as bars; none where it is no share."""
    found = [item for item in (result.before, result.after) if item is not None] if result else []
    if not all(0 <= item.value <= 1 for item in found):
        return []
    bars = []
    for item in found:
        low = item.value if item.low is None else max(item.low, 0.0)
        high = item.value if item.high is None else min(item.high, 1.0)
        bars.append(Bar(round(100 * low, 2), round(100 * (high - low), 2), round(100 * item.value, 2)))
    return bars
