"""task=status: how runs stand that wait in a queue, go on, or have ended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from r1lab.errors import ReportError, ResumeError
from r1lab.runs import pipeline
from r1lab.runs.states import FAILED, INTERRUPTED, STATES, UNREADABLE, WAITING, coloured
from r1lab.slurm.record import submitted_below
from r1lab.slurm.states import Status, started_here, statuses
from r1lab.terminal import terminal
from r1lab.wording import display, plural


def run(cfg: DictConfig) -> None:
    """Print the state of every run in `task.run`, or in all of `outputs`.

    Raises:
        ReportError: there is no such folder, or no run in it.
        SlurmError: Slurm does not answer.
    """
    folder = Path(cfg.task.run or cfg.outputs)
    if not folder.is_dir():
        raise ReportError(f"there is no folder {folder}")
    broken: dict[Path, str] = {}
    queued = submitted_below(folder, broken)
    found = statuses(queued) + started_here(folder, {item.run.resolve() for item in queued})
    found += [Status(place, "", UNREADABLE, why) for place, why in broken.items()]
    found += not_begun(folder, {item.run.resolve() for item in found})
    if not found:
        raise ReportError(f"{folder} holds no run")
    found.sort(key=lambda item: (item.run.parent, int(item.run.name) if item.run.name.isdigit() else 0, item.run.name))
    if cfg.task.json:
        print(json.dumps([as_json(item, cfg.objective) for item in found], indent=2))
        return
    console = terminal()
    console.print(table(found, cfg.objective))
    counts = {state: sum(item.state == state for item in found) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    console.print(f"{plural(len(found), 'run')}: {told}", markup=False)
    for item in found:
        if item.state in (FAILED, INTERRUPTED) and (item.run / "run.log").is_file():
            console.print(f"log     {display(item.run / 'run.log')}", markup=False)
            break


def not_begun(folder: Path, begun: set[Path]) -> list[Status]:
    """The stages of pipelines in a folder that neither the queue nor a run's folder tells of."""
    found = []
    for file in sorted(folder.rglob(pipeline.FILE)):
        try:
            stages = pipeline.read(file.parent).get("stages", [])
        except ResumeError as error:  # of one pipeline among many
            found.append(Status(file.parent, "", UNREADABLE, str(error)))
            continue
        for stage in stages:
            place = Path(stage["folder"])
            if place.resolve() not in begun and stage["does"] != "leave":
                why = f"for the {stage['told']}" if stage["told"] else "it has not begun"
                found.append(Status(place, "", WAITING, why))
    return found


def table(found: list[Status], objective: str) -> Table:
    """The runs, one a line: state, step, reward, the job, and why."""
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("run", "state", "step", "reward", objective, "job", "time", "why or where"):
        shown.add_column(heading, overflow="fold")
    for item in found:
        step = "" if item.step is None else f"{item.step}/{item.steps}" if item.steps else str(item.step)
        why = item.why.splitlines()[0] if item.why else item.nodes
        numbers = [number(item, "reward"), number(item, objective)]
        shown.add_row(
            escape(display(item.run)), coloured(item.state), step, *numbers, item.job, item.elapsed, escape(why)
        )
    return shown


def number(item: Status, name: str) -> str:
    """The last value of a metric, as text."""
    value = (item.metrics or {}).get(name)
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def as_json(item: Status, objective: str) -> dict[str, Any]:
    """One run for a script."""
    metrics = item.metrics or {}
    return {
        "run": os.path.relpath(item.run),
        "state": item.state,
        "why": item.why or None,
        "job": item.job or None,
        "slurm": item.slurm or None,
        "step": item.step,
        "steps": item.steps,
        "reward": metrics.get("reward"),
        objective: metrics.get(objective),
        "nodes": item.nodes or None,
    }
