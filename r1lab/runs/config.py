"""What a `run.yaml` has to be: a crash of the machine or a hand may have left YAML that is no run's config."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from r1lab.errors import ResumeError

PARTS = (  # of a run's config that are mappings
    "task",
    "model",
    "dataset",
    "reward",
    "benchmark",
    "evaluator",
    "trainer",
    "sandbox",
    "adapter",
    "hub",
    "tracker",
    "engine",
    "generator",
    "accelerator",
    "cluster",
    "eval",
    "sweep",
)
OR_NONE = "trainer"  # of a task that trains nothing
NAMED = ("reward", "benchmark", "tracker")  # of these, mappings by the name of each that was chosen
FIX = "put back the file that the run wrote, or move it away: the folder is then no run's"


def read(path: Path, needs: Collection[str] = ("task",)) -> DictConfig:
    """Read a `run.yaml`.

    Args:
        path: the file.
        needs: the keys that must be there, dotted.

    Raises:
        ResumeError: it cannot be read, or holds something else.
    """
    try:
        cfg = OmegaConf.load(path)
        whole = OmegaConf.to_container(cfg, resolve=True)
    except (YAMLError, OmegaConfBaseException, OSError, ValueError, RecursionError) as error:  # OSError: of a number
        raise ResumeError(f"{path} cannot be read: {str(error).splitlines()[0]}", FIX) from error
    if fault := fault_of(whole, needs):
        raise ResumeError(f"{path} cannot be read: {fault}", FIX)
    assert isinstance(cfg, DictConfig)
    return cfg


def fault_of(whole: Any, needs: Collection[str] = ("task",)) -> str:
    """What speaks against a file's content being a run's config, in words; "" where nothing does."""
    if not isinstance(whole, dict) or not whole:
        return f"it holds no config but {kind_of(whole)}"
    for part in PARTS:
        value = whole.get(part, {})
        if not isinstance(value, dict) and not (part == OR_NONE and value is None):
            return f"its {part} is {kind_of(value)}, no mapping"
    if lacking := [key for key in needs if not _says(whole, key)]:
        more = f", … ({len(lacking)} in all)" if len(lacking) > 4 else ""
        return f"it has no {', '.join(lacking[:4])}{more}, as a run's config has"
    if not isinstance(plugins := whole.get("plugins", []), list):
        return f"its plugins is {kind_of(plugins)}, no list"
    for part in NAMED:
        for name, value in whole.get(part, {}).items():
            if not isinstance(value, dict):
                return f"its {part}.{name} is {kind_of(value)}, no mapping"
    if "task" in needs and not isinstance(whole["task"].get("name"), str):
        return "its task has no name"
    return ""


def _says(node: Any, key: str) -> bool:
    first, _, rest = key.partition(".")
    return isinstance(node, dict) and first in node and (not rest or _says(node[first], rest))


def kind_of(value: Any) -> str:
    """What a YAML value is, as a reader of the file calls it."""
    names = {dict: "an empty mapping", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
