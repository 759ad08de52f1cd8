"""What task=grpo's own words must fit: the curriculum's column, the watch's warnings, whole groups to resample."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.config.source import class_members
from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest, some

ORDERS = ("easy_first", "hard_first")


def check_grpo(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings for the keys under `task` of a GRPO run."""
    if cfg.task.name != "grpo":
        return []
    findings = []
    curriculum, watch, resample = (cfg.task.get(name) for name in ("curriculum", "watch", "resample"))
    columns = cfg.dataset.get("columns")
    if curriculum and curriculum.column and columns and curriculum.column not in columns:
        what = f"task.curriculum.column={curriculum.column}: dataset {cfg.dataset.name} has no such column"
        close = nearest(str(curriculum.column), list(columns))
        fix = f"task=filter writes pass rates; its columns now: {some(columns)}"
        findings.append(Finding(what, where("task.curriculum.column"), close, fix))
    if curriculum and curriculum.order not in ORDERS:
        what = f"task.curriculum.order={curriculum.order} is not known"
        close = nearest(str(curriculum.order), ORDERS)
        findings.append(Finding(what, where("task.curriculum.order"), close, f"one of: {some(ORDERS)}"))
    if curriculum and curriculum.noise < 0:
        what = f"task.curriculum.noise={curriculum.noise} is a share of all problems"
        findings.append(
            Finding(what, where("task.curriculum.noise"), fix="0 for a strict order, 0.1 to mix neighbours")
        )
    if resample is not None and resample < 0:
        what = f"task.resample={resample} is a number of rounds"
        findings.append(Finding(what, where("task.resample"), fix="task.resample=0 turns it off"))
    kinds = [str(value) for value in (class_members("r1lab.trainers.watch.Kind") or {}).values()]
    for kind in (watch.stop or []) if watch else []:
        if kind not in kinds:
            what = f"task.watch.stop: there is no warning {kind!r}"
            findings.append(
                Finding(what, where("task.watch.stop"), nearest(str(kind), kinds), f"one of: {some(kinds)}")
            )
    if watch and watch.window < 1:
        what = f"task.watch.window={watch.window}: a warning needs at least one logged step"
        findings.append(Finding(what, where("task.watch.window"), fix="task.watch.window=20"))
    return findings
