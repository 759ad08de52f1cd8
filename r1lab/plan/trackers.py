"""What speaks against the chosen trackers, told without importing them: a package or a login that is missing."""

from __future__ import annotations

import importlib.util

from omegaconf import DictConfig, open_dict

from r1lab.config.environment import lookup
from r1lab.config.logins import wandb_login
from r1lab.errors import ConfigError, Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest

PACKAGES = {  # sink → the package it needs, which is the name of r1lab's extra as well
    "r1lab.trackers.wandb.Wandb": "wandb",
    "r1lab.trackers.mlflow.Mlflow": "mlflow",
    "r1lab.trackers.tensorboard.Tensorboard": "tensorboard",
    "r1lab.trackers.trackio.Trackio": "trackio",
}
MODES = ("online", "offline", "disabled")


def drop_unchosen_trackers(cfg: DictConfig, where: Where) -> tuple[DictConfig, list[Finding]]:
    """The config without settings of trackers that are not chosen, as an experiment's are when `tracker=` is given."""
    left = [str(name) for name, item in (cfg.get("tracker") or {}).items() if not item or not item.get("_target_")]
    if not left:
        return cfg, []
    kept = cfg.copy()
    findings = []
    for name in left:
        with open_dict(kept.tracker):
            del kept.tracker[name]
        what = f"tracker.{name} is left out: that tracker is not chosen"
        fix = f"add {name} to tracker=[…]"
        findings.append(Finding(what, where(f"tracker.{name}"), fix=fix, severity="warning"))
    return kept, findings


def check_trackers(cfg: DictConfig, where: Where) -> list[Finding]:
    """A package that is not installed, a login that is missing, values that do not fit."""
    findings = []
    for name, tracker in (cfg.get("tracker") or {}).items():
        target, place = str(tracker.get("_target_")), where(f"tracker.{name}")
        package = PACKAGES.get(target)
        severity = "warning" if cfg.dry_run else "error"  # the run may be meant for another machine
        if package and importlib.util.find_spec(package) is None:
            what = f"tracker {name} needs the package {package}, which is not installed"
            findings.append(Finding(what, place, fix=f'pip install "r1lab[{package}]"', severity=severity))
        if tracker.get("wait", 0) < 0:
            key = f"tracker.{name}.wait"
            findings.append(Finding(f"{key}={tracker.wait} is below 0", where(key), f"{key}=0"))
        if package == "wandb":
            findings += _wandb(str(name), tracker, where, severity)
    return findings


def _wandb(name: str, tracker: DictConfig, where: Where, severity: str) -> list[Finding]:
    key = f"tracker.{name}.mode"
    try:
        mode = tracker.get("mode") or lookup("WANDB_MODE") or "online"
        if mode not in MODES:
            close = nearest(str(mode), MODES)
            return [
                Finding(
                    f"{key}={mode} is not known",
                    where(key),
                    f"{key}={close}" if close else "",
                    "one of: online, offline, disabled",
                )
            ]
        if mode != "online" or wandb_login():
            return []
    except ConfigError as error:
        return error.findings
    what = f"tracker {name} needs a W&B key: WANDB_API_KEY is not set, and there is no login"
    fix = "export WANDB_API_KEY=…, or in .env, or wandb login"
    return [Finding(what, where(f"tracker.{name}"), f"{key}=offline", fix, severity)]
