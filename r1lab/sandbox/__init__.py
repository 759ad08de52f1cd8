"""Where programs that nobody trusts are run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf

from r1lab.config.experiments import CONF
from r1lab.errors import ConfigError, Finding
from r1lab.sandbox.base import Sandbox
from r1lab.wording import nearest, some

__all__ = ["Sandbox", "shared"]


def shared(cfg: Mapping[str, Any] | str) -> Sandbox:
    """The sandbox that a config describes; the same for all that ask for the same, in this process.

    Args:
        cfg: a name ("piston"), or keys of one (`{"name": "piston", "endpoints": […]}`, the rest as in its file), or a
            whole config with its `_target_`.

    Raises:
        ConfigError: there is none of that name, or it cannot be used as configured.
    """
    values = {"name": cfg} if isinstance(cfg, str) else dict(cfg)
    if "_target_" not in values:
        values = {**_shipped(str(values.get("name", "local"))), **values}
    return _made(json.dumps(values, sort_keys=True))


def _shipped(name: str) -> dict[str, Any]:
    names = sorted(path.stem for path in (CONF / "sandbox").glob("*.yaml"))
    if name not in names:
        raise ConfigError([Finding(f"there is no sandbox {name!r}", nearest=nearest(name, names), fix=some(names))])
    values: Any = OmegaConf.to_container(OmegaConf.load(CONF / "sandbox" / f"{name}.yaml"))
    return dict(values)


@cache
def _made(described: str) -> Sandbox:
    values = json.loads(described)
    values.pop("name", None)
    module, _, target = values.pop("_target_").rpartition(".")
    made: Sandbox = getattr(import_module(module), target)(**values)
    return made
