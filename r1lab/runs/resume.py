"""Resuming: what a command may change about a run that is already in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import Finding

PLACE = (  # where and how it runs and who is told of it, not what it computes
    "accelerator",
    "cluster",
    "sandbox",
    "hub",
    "tracker",
    "sweep",
    "debug",
    "dry_run",
    "resume",
    "outputs",
)
SPREAD = ("kind", "stage", "processes", "nodes")  # of `accelerator`: a checkpoint holds each process's own part
LONGER = ("trainer.max_steps", "trainer.num_train_epochs", "task.n", "task.problems", "benchmark.*.samples")
TRAINED = ("rft",)  # tasks that have those words and make something else of more
ASKING = (
    "engine.urls",
    "engine.in_flight",
    "engine.tries",
    "engine.timeout",
    "engine.patience",
    "engine.start_timeout",
)
FOLLOWS_PLACE = ("trainer.dataloader_pin_memory", "trainer.gradient_checkpointing")  # derived from the device
PYTHON = "evaluator.python"  # another place of the same environment, whose versions each record tells
JUDGE = re.compile(r"((?:reward\.[^.]+|benchmark\.[^.]+\.scorer)\.(?:sandbox|max_failures))(?:\..+)?")
MOST_SHOWN = 8


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested mapping by dotted key; lists are leaves."""
    if not isinstance(node, dict):
        return {prefix: node}
    return {
        key: value
        for name, item in node.items()
        for key, value in flatten(item, f"{prefix}.{name}".lstrip(".")).items()
    }


def differences(old: DictConfig, new: DictConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ between two resolved configs, with both values."""
    before, after = (flatten(OmegaConf.to_container(cfg, resolve=True)) for cfg in (old, new))
    keys = [key for key in {**before, **after} if not of_place(key)]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def of_place(key: str) -> bool:
    """Whether a key says where a run runs and what it puts up with: by itself, or as a reward's or scorer's own."""
    parts = key.split(".")
    if parts[0] == "accelerator" and parts[1] in SPREAD:
        return False
    return parts[0] in PLACE or key in (*FOLLOWS_PLACE, *ASKING, PYTHON) or bool(of_judge(key))


def of_judge(key: str) -> str:
    """The part of a reward or of a benchmark's scorer that says where it judges, if a key lies in one.

    "benchmark.lcb.scorer.sandbox" of "benchmark.lcb.scorer.sandbox.workers"; "" of "benchmark.lcb.samples".
    """
    found = JUDGE.fullmatch(key)
    return found[1] if found else ""


def makes_longer(key: str) -> bool:
    """Whether more of a number only adds to a run."""
    return any(fnmatchcase(key, pattern) for pattern in LONGER)


def check_resume(old: DictConfig, new: DictConfig, folder: str, where: Callable[[str], str] = str) -> list[Finding]:
    """A resumed run may be longer or run elsewhere; anything else makes it a different run.

    Args:
        old: the config that the folder holds.
        new: the one that is asked for, as resolved.
        folder: the folder, for the message.
        where: where a key of `new` was said.

    Returns:
        One finding for a run that would be shorter, and one that lists everything else that differs.
    """
    findings = []
    changed: dict[str, tuple[Any, Any]] = {}
    for key, (was, asked) in differences(old, new).items():
        of_task = key.startswith("task.") and new.task.name in TRAINED
        if not makes_longer(key) or of_task or not _counts(was) or not _counts(asked):
            changed[key] = (was, asked)
        elif asked < was:
            what = f"{key} was {was} in {folder}; a resumed run can only be longer"
            findings.append(Finding(what, where(key), fix=f"{key}={was} or more"))
    if changed:
        shown = [f"    {key}: {_said(was)} there, {_said(asked)} here" for key, (was, asked) in changed.items()]
        more = [f"    … and {len(shown) - MOST_SHOWN} more"] if len(shown) > MOST_SHOWN else []
        what = "\n".join([f"{folder} holds a different run:", *shown[:MOST_SHOWN], *more])
        places = list(dict.fromkeys(where(key) for key in list(changed)[:MOST_SHOWN]))
        fix = "leave that out to resume, or choose another folder to start anew"
        findings.append(Finding(what, ", ".join(item for item in places if item not in changed), fix=fix))
    return findings


def _counts(value: Any) -> bool:
    """Whether a number of steps or epochs limits the run; TRL reads -1 as "no limit"."""
    return isinstance(value, int | float) and value > 0


def _said(value: Any) -> str:
    return "not set" if value is None else str(value)
