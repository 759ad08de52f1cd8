"""The dataset and what the task and the rewards need of it, checked without loading a library for it."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.plan.mixture import check_mixture
from r1lab.plan.rewards import needed_columns
from r1lab.rows.look import PLANNED, look
from r1lab.rows.roles import roles_of
from r1lab.wording import nearest, plural, some

Rows = list[tuple[str, list[str]]]  # what to call each set of rows, and its columns
CHOICES = {"too_long": ("refuse", "drop", "truncate"), "own_system": ("keep", "replace")}


def check_data(cfg: DictConfig, where: Where) -> list[Finding]:
    """Local files that are missing, empty or broken, a hub dataset without a repo, and columns that are not there."""
    findings = _check_words(cfg, where)
    sets: Rows = []
    if cfg.dataset.get("columns"):
        sets = [(f"dataset {cfg.dataset.name}", list(cfg.dataset.columns))]
    target = str(cfg.dataset._target_)
    if target == "r1lab.data.hub.load" and not cfg.dataset.get("repo"):
        findings.append(Finding("dataset.repo has no value", where("dataset"), fix="dataset.repo=ORG/NAME"))
    if target == "r1lab.data.local.load":
        found, faults = _check_files(cfg, where)
        sets, findings = sets + found, findings + faults
    if target == "r1lab.data.mixture.load":
        found, faults = check_mixture(cfg, where)
        sets, findings = sets + found, findings + faults
    return findings + [fault for name, columns in sets for fault in check_columns(cfg, name, columns, where)]


def _check_files(cfg: DictConfig, where: Where) -> tuple[Rows, list[Finding]]:
    sets: Rows = []
    findings: list[Finding] = []
    for key, split in (("path", cfg.dataset.get("split", "train")), ("test_path", "test")):
        value, place = cfg.dataset.get(key), where(f"dataset.{key}")
        if value:
            found = look(value, roles_of(cfg.dataset, cfg.task.name), split, place, f"dataset.{key}", PLANNED)
            findings += found.faults
            sets += [] if found.faults else [(value, found.columns)]
        elif key == "path":
            findings.append(Finding("dataset.path has no value", where("dataset"), fix="dataset.path=FILE"))
    return sets, findings


def _check_words(cfg: DictConfig, where: Where) -> list[Finding]:
    """Words that have a few values only, and settings of the split that leave a task without rows."""
    findings, dataset, task = [], cfg.dataset, cfg.task.name
    for key, valid in CHOICES.items():
        value = dataset.get(key)
        if value is not None and value not in valid:
            close = nearest(str(value), valid)
            what = f"dataset.{key} does not know {value!r}"
            nearby = f"dataset.{key}={close}" if close else ""
            findings.append(Finding(what, where(f"dataset.{key}"), nearby, f"one of: {some(valid)}"))
    if dataset.get("too_long") == "truncate" and task != "sft":
        what = "dataset.too_long=truncate would cut problems, and a cut problem has another answer"
        findings.append(Finding(what, where("dataset.too_long"), "dataset.too_long=drop"))
    if "split" in dataset and not dataset.split and task != "eval":
        what = f"dataset {dataset.name} is only there to be evaluated on: it has no rows for task={task}"
        findings.append(Finding(what, where("dataset"), "task=eval", "another dataset, or dataset.split=NAME"))
    test = dataset.get("test")
    if isinstance(test, float) and test >= 1 and test != int(test):
        what = f"dataset.test={test} is neither a number of rows nor a share of them"
        findings.append(Finding(what, where("dataset.test"), f"dataset.test={round(test)}", "or a share below 1"))
    if task == "eval" and held_out(cfg) == 0:
        what = "dataset.test=0 holds no problem out, and task=eval measures those"
        findings.append(Finding(what, where("dataset.test"), fix="dataset.test=NUMBER"))
    return findings


def held_out(cfg: DictConfig) -> float | str:
    """How many rows are to be held out, below 1 which share; where they come from, if they stand by themselves."""
    dataset = cfg.dataset
    for key in ("test_path", "test_split"):
        if dataset.get(key):
            return str(dataset[key])
    return dataset.get("test") or 0 if "test" in dataset else "as its loader says"


def described(apart: float | str) -> str:
    """What `held_out` says, for the plan."""
    if apart == 0:
        return "nothing (dataset.test=0): no evaluation"
    if isinstance(apart, str):
        return apart
    return f"{apart:.3g} of the rows" if apart < 1 else f"up to {plural(int(apart), 'row')}"


def check_columns(cfg: DictConfig, rows: str, columns: list[str], where: Where) -> list[Finding]:
    """What the task trains on, the answer and every reward's columns against those of a set of rows.

    Args:
        cfg: the resolved run.
        rows: what to call the rows.
        columns: their columns.
        where: where a key was said.
    """
    findings = []
    needed = needed_columns(cfg)
    readers = [reward for reward, names in needed.items() if "solution" in names]
    roles = roles_of(cfg.dataset, cfg.task.name).needed(columns)
    for role in dict.fromkeys([*roles, "answer"] if readers else roles):
        name = cfg.dataset.get(role)
        if name in columns:
            continue
        what = f"dataset.{role}={name}: {rows} has no such column"
        fix = f"dataset.{role}=COLUMN, one of: {some(columns)}"
        if name is None:
            what = f"{rows} has no {role} (dataset.{role} is null)"
        if role == "answer" and readers:
            what += f"; reward {readers[0]} compares with it"
            fix += f"; or leave {readers[0]} out of reward=[…]" if name is None else ""
        close = nearest(str(name or role), columns) or (columns[0] if len(columns) == 1 else "")
        findings.append(Finding(what, where(f"dataset.{role}"), f"dataset.{role}={close}" if close else "", fix))
    for name, names in needed.items():
        for column in names:
            if column not in {*columns, "solution"}:
                what = f"reward {name} reads column {column!r}, which {rows} lacks"
                fix = f"rename one of its columns: {some(columns)}"
                findings.append(Finding(what, where(f"reward.{name}"), nearest(column, columns), fix))
    return findings
