"""Where programs that nobody trusts are run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from r1lab.sandbox.base import Sandbox

__all__ = ["Sandbox", "shared"]


def shared(cfg: Mapping[str, Any]) -> Sandbox:
    """The sandbox that a config describes; the same for all that ask for the same, in this process.

    Raises:
        ConfigError: it cannot be used as configured (a missing key, an unknown limit).
    """
    return _made(json.dumps(cfg, sort_keys=True))


@cache
def _made(described: str) -> Sandbox:
    values = json.loads(described)
    values.pop("name", None)
    module, _, target = values.pop("_target_").rpartition(".")
    made: Sandbox = getattr(import_module(module), target)(**values)
    return made
