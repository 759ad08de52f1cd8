"""Where a word was said: the override on the command line, or the file and line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import yaml


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


def where(key: str, overrides: Iterable[str], files: Iterable[tuple[str, Path]]) -> str:
    """Say where `key` got its value.

    Args:
        key: a dotted key of the composed config.
        overrides: the command line's words.
        files: (package, file) of every config file composed, the last word first.
    """
    for override in overrides:
        said = override.split("=", 1)[0].lstrip("+~")
        if said == key or said.startswith(f"{key}.") or key.startswith(f"{said}."):
            return f"override {override}"
    for package, file in files:
        inner = key if not package else key.removeprefix(f"{package}.") if key.startswith(f"{package}.") else None
        if inner and (line := line_of(file, inner)):
            return f"{display(file)}:{line}"
    return key


def display(path: Path) -> str:
    """A path relative to the working directory where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def nearest(word: str, valid: Iterable[str]) -> str:
    """The valid word closest to `word`, or "" when none is close."""
    candidates = list(valid)
    match = get_close_matches(word, candidates, n=1, cutoff=0.6)
    if match:
        return match[0]
    contained = [item for item in candidates if len(word) > 2 and (word in item or item in word)]
    return min(contained, key=len, default="")


def some(words: Iterable[str], most: int = 12) -> str:
    """Words as a list for a message, cut where there are many."""
    ordered = sorted(set(words))
    return ", ".join(ordered[:most]) + (f", … ({len(ordered)} in all)" if len(ordered) > most else "")
