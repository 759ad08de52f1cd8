"""Where a word was said: the override on the command line, or the file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import yaml

from r1lab.wording import display

Files = Sequence[tuple[str, Path]]  # (package, file) of a composition


def line_of(file: Path, dotted: str) -> int | None:
    """The 1-based line on which `dotted` (e.g. "trainer.beta") is set in a YAML file, or None."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    line = None
    for part in dotted.split("."):
        if not isinstance(node, yaml.MappingNode):
            return None
        pair = next(((key, value) for key, value in node.value if key.value == part), None)
        if pair is None:
            return None
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


def where(key: str, overrides: Iterable[str], files: Callable[[], Files] = tuple) -> str:
    """Say where `key` got its value: the override that sets it, else the file and line, else the choice that brings it.

    Args:
        key: a dotted key of the composed config.
        overrides: the command line's words.
        files: gives (package, file) of every config file composed, the last word first; asked only when needed.
    """
    said = [(override.split("=", 1)[0].lstrip("+~").split("@")[0], override) for override in overrides]
    own = [override for name, override in said if name == key]
    inside = [override for name, override in said if name.startswith(f"{key}.")]
    whole = [override for name, override in said if "{" in override and key.startswith(f"{name}.")]
    if found := own or inside or whole:
        return f"override {found[-1]}"
    for package, file in files():
        inner = key if not package else key.removeprefix(f"{package}.") if key.startswith(f"{package}.") else None
        if inner and (line := line_of(file, inner)):
            return f"{display(file)}:{line}"
    choices = [override for name, override in said if key.startswith(f"{name}.")]
    return f"override {choices[-1]}" if choices else key
