"""A recipe file in Open-R1's format: its keys, their values and the lines on which they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from r1lab.errors import ConfigError, Finding
from r1lab.wording import display, nearest

LARGEST = 1 << 20  # bytes; a recipe is a page, and what is larger is some other file
OF_ACCELERATE = {"compute_environment", "distributed_type", "deepspeed_config", "fsdp_config"}
Loader: Any = get_yaml_loader()  # numbers such as 2e-5 are numbers, a key that stands twice is an error


@dataclass(frozen=True)
class Recipe:
    """A recipe as it was written.

    Attributes:
        path: its file.
        values: key → value, in the order written.
        lines: key → the line on which it stands, from 1.
    """

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    def where(self, key: str) -> str:
        """The file and line of a key; of one that is not there, the file."""
        return f"{display(self.path)}:{self.lines[key]}" if key in self.lines else display(self.path)


def read(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: it is not there, or is no mapping of keys in YAML.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=Loader)
        values = yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = f"not valid YAML: {getattr(error, 'problem', None) or error}"
        raise _refused(
            path, what, "check the indentation, colons and quotes around it", mark and mark.line + 1
        ) from error
    except (ValueError, RecursionError) as error:  # a date such as 2025-02-30; brackets a thousand deep
        raise _refused(path, f"not readable as YAML: {error}", "put the value in quotes") from error
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode) or not values:
        kind = "nothing" if not values else f"a {type(values).__name__}"
        raise _refused(path, f"holds {kind}, not the keys of a recipe", "a file of lines `key: value`")
    if OF_ACCELERATE & values.keys():
        fix = "task.path= takes the recipe; task.accelerator=zero3 stands for this file"
        raise _refused(path, "is a config of accelerate, not a recipe", fix)
    lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    for key in values:
        if not isinstance(key, str):
            raise _refused(path, f"the key {key!r} is not text", "quote it, or take it out", lines.get(str(key)))
    return Recipe(path, values, lines)


def _text(path: Path) -> str:
    if path.is_dir():
        names = sorted(item.name for item in path.rglob("*.y*ml"))
        raise _refused(
            path, "is a folder", f"name one of its files: {', '.join(names[:6]) or 'there is no recipe in it'}"
        )
    if not path.is_file():
        close = nearest(path.name, [item.name for item in path.parent.glob("*.y*ml")] if path.parent.is_dir() else [])
        what = f"there is no file {display(path)}"
        raise ConfigError([Finding(what, "task.path", f"task.path={path.with_name(close)}" if close else "")])
    if path.stat().st_size > LARGEST:
        raise _refused(path, f"has {path.stat().st_size:,} bytes: that is no recipe", "task.path=RECIPE.yaml")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise _refused(path, "is not text in UTF-8", "save it as UTF-8", line) from error


def _refused(path: Path, what: str, fix: str, line: int | None = None) -> ConfigError:
    place = f"{display(path)}:{line}" if line else display(path)
    return ConfigError([Finding(f"{display(path)}: {what}", place, fix=fix)])
