"""Rewards, by the config's names: `load("format")(completions)`."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from r1lab.config.experiments import CONF
from r1lab.errors import ConfigError, Finding
from r1lab.rewards.base import Reward, build
from r1lab.wording import nearest, some

__all__ = ["Reward", "build", "load"]


def load(name: str, **parameters: Any) -> Reward:
    """One of r1lab's rewards with the config's parameters, changed where asked.

    Raises:
        ConfigError: there is no reward of that name.
    """
    folder = CONF / "reward"
    names = [path.stem for path in folder.glob("*.yaml")]
    if name not in names:
        raise ConfigError([Finding(f"there is no reward {name!r}", nearest=nearest(name, names), fix=some(names))])
    cfg = OmegaConf.create({name: {}})
    cfg.merge_with(OmegaConf.load(folder / f"{name}.yaml"), {name: parameters})
    return build(name, cfg[name])
