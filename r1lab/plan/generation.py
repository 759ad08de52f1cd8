"""What task=generate's own words must fit: the template's names, the sampling, the reward that decides what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from r1lab.config.prompt_templates import check_names, names_of, read_wording
from r1lab.errors import ConfigError, Finding
from r1lab.plan.fields import Where
from r1lab.rows.look import look
from r1lab.wording import display, nearest, some

ORDERS = ("first", "shortest")
LEAST = 1.0  # of conf/task/generate.yaml


def check_generation(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings for the keys under `task` of a generation."""
    if cfg.task.name == "filter":
        return _check_prompts(cfg, where) + _check_store(cfg, where)
    if cfg.task.name != "generate":
        return []
    return _check_prompts(cfg, where) + _check_keep(cfg, where) + _check_store(cfg, where)


def columns_of(cfg: DictConfig) -> list[str]:
    """The dataset's columns, where they are known before it is loaded; else none."""
    if cfg.dataset.get("columns"):
        return list(cfg.dataset.columns)
    path = cfg.dataset.get("path")
    return list(look(str(path), most=1).columns) if path else []


def _check_prompts(cfg: DictConfig, where: Where) -> list[Finding]:
    findings: list[Finding] = []
    task, columns = cfg.task, columns_of(cfg)
    if task.template:
        try:
            text, place = read_wording(str(task.template), where("task.template"))
            if not names_of(text, place):
                what = "task.template names no column: every prompt would be the same"
                findings.append(Finding(what, place, "{{ prompt }}"))
            if columns:
                check_names(text, place, [*columns, "solution"])
        except ConfigError as error:
            findings += [replace(item, where=item.where or where("task.template")) for item in error.findings]
    return findings


def _check_keep(cfg: DictConfig, where: Where) -> list[Finding]:
    findings, keep, rewards = [], cfg.task.keep, list(map(str, cfg.reward or {}))
    if keep.reward is not None and keep.reward not in rewards:
        close = nearest(str(keep.reward), rewards)
        what = f"task.keep.reward={keep.reward} is none of the rewards that score"
        nearby = f"task.keep.reward={close}" if close else ""
        findings.append(
            Finding(what, where("task.keep.reward"), nearby, f"add it to reward=[…]; now: {some(rewards) or 'none'}")
        )
    if keep.order not in ORDERS:
        close = nearest(str(keep.order), ORDERS)
        what = f"task.keep.order={keep.order} is not known"
        findings.append(
            Finding(what, where("task.keep.order"), f"task.keep.order={close}" if close else "", "first or shortest")
        )
    most = keep.most
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        what = (
            f"task.keep.most={most} keeps nothing" if isinstance(most, int) else f"task.keep.most={most} is no number"
        )
        findings.append(Finding(what, where("task.keep.most"), fix="1 or more; null keeps all"))
    if keep.reward is None and keep.least != LEAST:
        what = f"task.keep.least={keep.least:g}: no reward was chosen that must reach it, so all would be kept"
        close = f"task.keep.reward={rewards[0]}" if rewards else ""
        findings.append(
            Finding(what, where("task.keep.least"), close, "" if close else "reward=[…] and task.keep.reward=")
        )
    if keep.order == "shortest" and most is None:
        what = "task.keep.order=shortest: task.keep.most is null, so all are kept, whatever their length"
        findings.append(Finding(what, where("task.keep.order"), "task.keep.most=1", severity="warning"))
    return findings


def _check_store(cfg: DictConfig, where: Where) -> list[Finding]:
    if cfg.task.store and Path(str(cfg.task.store)).is_file():
        what = f"task.store={display(Path(str(cfg.task.store)))} is a file"
        return [Finding(what, where("task.store"), fix="a folder")]
    return []
