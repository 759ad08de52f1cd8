"""What task=rescore is asked: completions that are there, rewards that can read them, two of them to compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.plan.rewards import needed_columns
from r1lab.rows.completions import STORED, find, peek
from r1lab.wording import display, nearest, some

RESCORE = "rescore"


def check_rescore(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about a run that rescores; none of another task."""
    task = cfg.task
    if task.name != RESCORE:
        return []
    findings = _check_numbers(cfg, where)
    if not cfg.reward:
        findings.append(Finding("task=rescore needs at least one reward", where("reward"), "reward=[accuracy]"))
    place = where("task.completions")
    found = find(str(task.completions), task.stream, place)
    if found.faults:
        return [*findings, *found.faults]
    columns, scores, faults = peek(found)
    if faults:
        return [*findings, *(replace(item, where=item.where or place) for item in faults)]
    findings += _check_columns(cfg, columns, where)
    return findings + _check_compare(cfg, scores, where)


def _check_numbers(cfg: DictConfig, where: Where) -> list[Finding]:
    task, findings = cfg.task, []
    least = list(task.least)
    if len(least) not in (1, 2) or not all(isinstance(item, int | float) for item in least):
        what = f"task.least={least} is neither one number nor one for each of two rewards"
        findings.append(Finding(what, where("task.least"), fix="task.least=[1.0] or task.least=[1.0,0.5]"))
    for key, lowest in (("shown", 0), ("problems", 1), ("step", -1)):
        value = task[key]
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < lowest):
            what = f"task.{key}={value} is no whole number from {lowest} on"
            findings.append(Finding(what, where(f"task.{key}"), fix=f"task.{key}={max(lowest, 1)}"))
    return findings


def _check_columns(cfg: DictConfig, columns: list[str], where: Where) -> list[Finding]:
    """Rewards that read what was not kept."""
    shown = display(Path(str(cfg.task.completions)))
    findings = []
    if "step" not in columns and cfg.task.step is not None:
        what = f"task.step={cfg.task.step}: the completions in {shown} have no steps"
        findings.append(Finding(what, where("task.step"), fix="leave it out"))
    for name, needed in needed_columns(cfg).items():
        for column in needed:
            if column not in columns:
                close = nearest(column, columns)
                what = f"reward {name} reads column {column!r}, which the completions in {shown} lack"
                if column == "solution" and "key" in columns:
                    what += ": a store keeps texts without their problems"
                fix = f"its columns: {some(columns)}; a generation's dataset/all keeps every column of its problems"
                findings.append(Finding(what, where(f"reward.{name}"), close, fix))
    return findings


def _check_compare(cfg: DictConfig, scores: list[str], where: Where) -> list[Finding]:
    if cfg.task.compare is None:
        return []
    known = [*map(str, cfg.reward or {}), *(f"{STORED}{name}" for name in scores)]
    said = cfg.task.compare
    pair = [str(item) for item in said] if not isinstance(said, str) else [said]
    if len(pair) != 2 or pair[0] == pair[1]:
        what = f"task.compare={pair} does not name two rewards"
        return [Finding(what, where("task.compare"), fix=f"two of: {some(known)}")]
    findings = []
    for item in pair:
        if item not in known:
            close = nearest(item, known)
            what = f"task.compare: there is no reward {item}"
            findings.append(Finding(what, where("task.compare"), close, f"two of: {some(known)}"))
    return findings
