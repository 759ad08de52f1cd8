"""Rewards by the names of their config files, for use by hand: `load("cosine", max_len=100)(texts, solution=[…])`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.config.experiments import CONF
from r1lab.errors import ConfigError, Finding
from r1lab.rewards.base import Reward, build
from r1lab.wording import nearest, some


def names() -> list[str]:
    """The rewards that r1lab ships."""
    return sorted(path.stem for path in (CONF / "reward").glob("*.yaml"))


def load(name: str, **parameters: Any) -> Reward:
    """One of r1lab's rewards with the config's parameters, changed where asked.

    Returns:
        A reward that scores texts or conversations, the columns given by keyword:
        `load("accuracy")([r"\\boxed{12}"], solution=[12])` is `[1.0]`.

    Raises:
        ConfigError: there is no reward of that name, or it has no such parameter.
    """
    if name not in names():
        raise ConfigError([Finding(f"there is no reward {name!r}", nearest=nearest(name, names()), fix=some(names()))])
    cfg = OmegaConf.create({name: {}, "sandbox": OmegaConf.load(CONF / "sandbox" / "local.yaml")})
    cfg.merge_with(_shipped(name))
    for key, value in parameters.items():  # replaced, not merged: `parts={…}` are all the parts
        cfg[name][key] = value
    return build(name, cfg[name])


def part(name: str, settings: Any, sandbox: Mapping[str, Any] | str | None = None) -> Reward:
    """A reward inside another one: by its name and a weight, or by its name and a mapping of its parameters.

    A mapping with a `_target_` describes a reward that r1lab does not ship. One that runs programs does so in
    `sandbox`, unless it names another.

    Raises:
        ConfigError: see `load`; or the settings are neither.
    """
    if isinstance(settings, Mapping):
        values = {str(key): value for key, value in settings.items()}
        if "_target_" in values:
            return build(name, OmegaConf.create(values))
        return load(name, **({"sandbox": sandbox} if sandbox and "sandbox" in _keys(name) else {}) | values)
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        return part(name, {"weight": settings}, sandbox)
    raise ConfigError([Finding(f"{name}: {settings!r} is neither a weight nor parameters", fix=f"{name}: 1.0")])


def _keys(name: str) -> set[str]:
    """The keys of a shipped reward's file; none where there is no such reward."""
    return {str(key) for key in _shipped(name)[name]} if name in names() else set()


def _shipped(name: str) -> DictConfig:
    """The config file of a shipped reward."""
    loaded = OmegaConf.load(CONF / "reward" / f"{name}.yaml")
    assert isinstance(loaded, DictConfig)
    return loaded
