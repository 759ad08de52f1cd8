"""What a config's `_target_` names: whether it may be called, whether it is there, and what it declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.config.packages import EXTRAS
from r1lab.config.source import Parameter, defined_in, exists, locate, parameters
from r1lab.errors import Finding
from r1lab.wording import nearest

ALLOWED_ROOTS = ("r1lab", "trl", "transformers", "peft")
TRAINED_BY = {"grpo": "trl.GRPOConfig", "sft": "trl.SFTConfig", "rft": "trl.SFTConfig"}
LOOKS = "doctor"  # trains nothing either, and looks at what an experiment's training needs
Where = Callable[[str], str]


def declared_by(cfg: DictConfig, container: str) -> dict[str, Parameter] | None:
    """What the `_target_` of a container declares; None where there is none or it may not be called."""
    target = target_of(cfg, container)
    return parameters(target) if target and not target_fault(cfg, target) else None


def target_of(cfg: DictConfig, container: str) -> str:
    """The `_target_` of a container of a config; "" where there is none."""
    node = OmegaConf.select(cfg, container)
    return str(node.get("_target_") or "") if isinstance(node, DictConfig) else ""


def check_targets(cfg: DictConfig, where: Where) -> list[Finding]:
    """Every `_target_` must lie under r1lab, trl, transformers, peft or a plug-in, and exist."""
    findings = []
    for key, target in _targets(OmegaConf.to_container(cfg, resolve=False), ""):
        if target == "???" or key.startswith("hydra."):
            continue
        fault = target_fault(cfg, target)
        if fault:
            findings.append(replace(fault, what=f"{key}={fault.what}", where=where(key)))
    return findings + check_trainer(cfg, where)


def target_fault(cfg: DictConfig, target: str) -> Finding | None:
    """What is wrong with a `_target_`: it may not be called, or is not there."""
    root, module, name = target.split(".")[0], *target.rpartition(".")[::2]
    if root not in (*ALLOWED_ROOTS, *(str(item) for item in cfg.get("plugins") or [])):
        what = f"{target} lies outside the packages that may be called"
        return Finding(what, fix=f"plugins=[{root}] if that package is yours")
    if exists(target):
        return None
    if locate(module) is None:
        fix = EXTRAS.get(root, "run where it can be imported, or install it")
        return Finding(f"{target}: there is no module {module}", fix=fix)
    close = nearest(name, defined_in(module))
    return Finding(f"{target}: {module} defines no {name}", nearest=f"{module}.{close}" if close else "")


def check_trainer(cfg: DictConfig, where: Where) -> list[Finding]:
    """Whether the chosen trainer is the one that the task trains with, and there at all where it is given fields."""
    task, target = cfg.get("task", {}).get("name"), target_of(cfg, "trainer")
    if not target and task == LOOKS:
        return []
    if not target:
        keys = [f"trainer.{name}" for name in cfg.get("trainer") or {}]
        what = f"task={task} trains nothing, so {{}} has no meaning"
        return [Finding(what.format(key), where(key), fix="leave it out") for key in keys]
    wanted = TRAINED_BY.get(task, target)
    if target == wanted or not target.startswith("trl."):
        return []
    what = f"task={task} trains with {wanted}, not {target}"
    return [Finding(what, where("trainer"), f"trainer={task}", "leave trainer= out: it follows the task")]


def _targets(node: Any, key: str) -> list[tuple[str, str]]:
    if not isinstance(node, dict):
        return []
    named = ("_target_", "diagnose") if key == "dataset" else ("_target_",)
    found = [(f"{key}.{name}".lstrip("."), str(node[name])) for name in named if node.get(name)]
    return found + [item for name, value in node.items() for item in _targets(value, f"{key}.{name}".lstrip("."))]
