"""What task=decontaminate is asked: benchmarks, numbers and words, checked without loading a benchmark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.rows.against import Benchmark, benchmarks_of
from r1lab.rows.look import PLANNED, look
from r1lab.rows.mixture import settings_of
from r1lab.rows.roles import TEXTS, Roles
from r1lab.wording import nearest, some

DUPLICATES = ("none", "exact", "near")


def check_decontamination(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about the `task` node of a decontamination; none of another task."""
    task = cfg.task
    if task.name != "decontaminate":
        return []
    listed: Any = OmegaConf.to_container(task.against) if OmegaConf.is_list(task.against) else []
    benchmarks, findings = benchmarks_of(listed)
    findings += [fault for item in benchmarks for fault in _check(item)]
    findings = [replace(fault, where=where("task.against")) for fault in findings]
    if task.duplicates not in DUPLICATES:
        close = nearest(str(task.duplicates), DUPLICATES)
        what, fix = f"task.duplicates does not know {task.duplicates!r}", f"one of: {some(DUPLICATES)}"
        findings.append(Finding(what, where("task.duplicates"), f"task.duplicates={close}" if close else "", fix))
    elif not listed and task.duplicates == "none":
        what = "there is nothing to do: no benchmark to compare with, and duplicates are not looked for"
        findings.append(Finding(what, where("task.against"), fix="task.against=[aime24,…] or task.duplicates=near"))
    for key in ("ngram", "shingle"):
        if isinstance(task[key], bool) or not isinstance(task[key], int) or task[key] < 1:
            what = f"task.{key}={task[key]} is not a number of words"
            findings.append(Finding(what, where(f"task.{key}"), fix=f"task.{key}=8"))
    for key, plain in (("similarity", 0.8), ("shingle", 5)):
        if task.duplicates != "near" and task[key] != plain:
            what = f"task.{key} is of near duplicates, which are not looked for"
            findings.append(Finding(what, where(f"task.{key}"), "task.duplicates=near", severity="warning"))
    if isinstance(task.similarity, bool) or not 0 < float(task.similarity) <= 1:
        what = f"task.similarity={task.similarity} is not above 0 and at most 1"
        findings.append(Finding(what, where("task.similarity"), fix="task.similarity=0.8"))
    return findings


def output_of(cfg: DictConfig) -> str:
    """The name of the new dataset, where none is given: the old one's with what was done to it."""
    given = cfg.dataset.get("repo") or cfg.dataset.get("path")
    name = Path(str(given)).name.partition(".")[0] if given else str(cfg.dataset.name)
    return f"{name}_{'decontaminated' if cfg.task.name == 'decontaminate' else 'filtered'}"


def _check(item: Benchmark) -> list[Finding]:
    columns: list[str] = []
    if item.kind == "path":
        found = look(item.value, Roles(prompt=item.prompt, use=TEXTS), item.split or "test", "", "path", PLANNED)
        if found.faults:
            return found.faults
        columns = found.columns
    elif item.kind == "name":
        columns = settings_of(item.value).get("columns") or []
    if not columns or item.prompt in columns:
        return []
    close = nearest(item.prompt, columns)
    what = f"task.against: {item.label} has no column {item.prompt!r}"
    return [Finding(what, "", f"prompt: {close}" if close else "", f"prompt: one of {some(columns)}")]
