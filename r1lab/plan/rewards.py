"""What the rewards need of the dataset, those inside other rewards included, read without importing them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.config.experiments import CONF
from r1lab.config.source import columns_and_settings
from r1lab.errors import Finding
from r1lab.plan.fields import known_of_reward, value_findings
from r1lab.plan.targets import Where, target_fault
from r1lab.wording import nearest, some

GIVEN = ("completions", "prompts", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
HOLDERS = {"r1lab.rewards.combined.weighted_sum": ("parts",), "r1lab.rewards.combined.gate": ("first", "then")}
Inner = tuple[str, str, dict[str, Any]]  # the key of a reward inside another one, its name, its settings


def needed_columns(cfg: DictConfig) -> dict[str, list[str]]:
    """The columns that each reward of a run reads and cannot do without, beside what trainers give."""
    needed = {}
    for name, reward in (cfg.get("reward") or {}).items():
        targets = [str(reward._target_), *(target_of(*inner[1:]) for inner in inside(f"reward.{name}", reward))]
        found = [column for target in targets for column in _required(target)]
        needed[str(name)] = list(dict.fromkeys(found))
    return needed


def _required(target: str) -> list[str]:
    columns, _ = columns_and_settings(target) or ({}, {})
    return [name for name, item in columns.items() if item.required and name not in GIVEN]


def inside(key: str, reward: Any) -> Iterator[Inner]:
    """The rewards inside a reward, at any depth."""
    for holder in HOLDERS.get(str(reward.get("_target_", "")), ()):
        held = reward.get(holder)
        plain: Any = OmegaConf.to_container(held, resolve=True) if OmegaConf.is_config(held) else held
        named: dict[str, Any] = {plain: {}} if isinstance(plain, str) else plain or {}
        for name, settings in named.items():
            values: dict[str, Any] = settings if isinstance(settings, dict) else {"weight": settings}
            yield f"{key}.{holder}.{name}", str(name), values
            target = target_of(str(name), values)
            if target in HOLDERS:
                yield from inside(f"{key}.{holder}.{name}", {**values, "_target_": target})


def target_of(name: str, settings: dict[str, Any]) -> str:
    """The function of a reward inside another one: its own `_target_`, or that of r1lab's file; "" without either."""
    file = CONF / "reward" / f"{name}.yaml"
    if "_target_" in settings or not file.is_file():
        return str(settings.get("_target_", ""))
    return str(OmegaConf.select(OmegaConf.load(file), f"{name}._target_"))


def check_inner(cfg: DictConfig, where: Where) -> list[Finding]:
    """Rewards inside others that are not there, and keys of theirs that do not fit."""
    findings: list[Finding] = []
    names = sorted(path.stem for path in (CONF / "reward").glob("*.yaml"))
    for name, reward in (cfg.get("reward") or {}).items():
        for key, inner, settings in inside(f"reward.{name}", reward):
            target = target_of(inner, settings)
            if not target:
                fix = f"one of: {some(names)}; your own by {{{inner}: {{_target_: PACKAGE.MODULE.FUNCTION}}}}"
                findings.append(Finding(f"{key}: there is no reward {inner!r}", where(key), nearest(inner, names), fix))
                continue
            if fault := target_fault(cfg, target):
                findings.append(Finding(f"{key}: {fault.what}", where(key), fault.nearest, fault.fix))
                continue
            known = known_of_reward(target)
            for word, value in settings.items():
                if word in known:
                    findings += value_findings(f"{key}.{word}", value, known[word], where)
                else:
                    what = f"{key}.{word} is not a field of {target}"
                    findings.append(Finding(what, where(key), nearest(word, known), f"known here: {some(known)}"))
    return findings
