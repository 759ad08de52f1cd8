"""What task=filter is asked: a band, a reward that decides, a confidence, and which part of the rows."""

from __future__ import annotations

import math

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest, some


def check_filter(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about the `task` node of a run that filters; none of another task."""
    task = cfg.task
    if task.name != "filter" or task.join:
        return []
    if task.join is not None:
        what = "task.join names no run, and samples nothing"
        return [Finding(what, where("task.join"), fix="the folder of a sweep, or [RUN, RUN, …]; null samples")]
    findings = []
    rewards = list(map(str, cfg.reward or {}))
    if not rewards:
        findings.append(Finding("task=filter needs at least one reward", where("reward"), "reward=[accuracy]"))
    elif task.reward is not None and task.reward not in rewards:
        close = nearest(str(task.reward), rewards)
        what = f"task.reward={task.reward} is none of the rewards that score"
        fix = f"add it to reward=[…]; now: {some(rewards)}"
        findings.append(Finding(what, where("task.reward"), f"task.reward={close}" if close else "", fix))
    numbers = {name: task[name] for name in ("low", "high") if not _is_number(task[name])}
    if numbers:
        name, value = next(iter(numbers.items()))
        findings.append(Finding(f"task.{name}={value} is no number", where(f"task.{name}"), fix=f"task.{name}=0.5"))
    elif task.low >= task.high:
        what = f"no mean is above task.low={task.low:g} and below task.high={task.high:g}"
        findings.append(Finding(what, where("task.high"), fix="task.low=0.2 task.high=0.8"))
    elif (
        not any(task.low < right / max(1, task.n) < task.high for right in range(int(task.n) + 1)) and len(rewards) == 1
    ):
        what = f"of {task.n} samples that are right or wrong no mean is above {task.low:g} and below {task.high:g}"
        findings.append(Finding(what, where("task.n"), fix="a larger task.n, or a wider band", severity="warning"))
    if task.confidence is not None and not (_is_number(task.confidence) and 0.5 < task.confidence <= 1):
        what = f"task.confidence={task.confidence} is not above 0.5 and at most 1"
        findings.append(Finding(what, where("task.confidence"), fix="task.confidence=0.95; null: always all samples"))
    return findings + _check_part(cfg, where)


def _check_part(cfg: DictConfig, where: Where) -> list[Finding]:
    task, findings = cfg.task, []
    if not _is_count(task.shards, 1) or not _is_count(task.shard, 0) or task.shard >= task.shards:
        what = f"task.shard={task.shard} of task.shards={task.shards}: parts are numbered from 0"
        findings.append(Finding(what, where("task.shard"), fix="-m task.shards=8 'task.shard=range(8)'"))
    if not _is_count(task.start, 0):
        what = f"task.start={task.start} is not the number of a row, from 0"
        findings.append(Finding(what, where("task.start"), fix="task.start=0"))
    elif task.end is not None and (not _is_count(task.end, 1) or task.end <= task.start):
        what = f"task.end={task.end} is not after task.start={task.start}"
        findings.append(Finding(what, where("task.end"), fix="task.end=null takes the rows to the last"))
    return findings


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
