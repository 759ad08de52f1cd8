"""Files that a run may have been killed while writing: each may be missing or torn.

What cannot be read is left out and named in `damage`, in sentences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from r1lab.report.words import cut

LOG_LINES, LOG_BYTES, LOG_WIDTH = 15, 65_536, 400
STEPS = 10**12  # a larger "step" is damage, and would break the axis of every figure
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def text(path: Path, damage: list[str], expected: bool = True) -> str | None:
    """The text of a file; None where there is none that can be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        if expected:
            damage.append(f"{path.name} is missing.")
    except OSError as error:
        damage.append(f"{path.name} could not be read: {error.strerror}.")
    return None


def mapping(written: str, damage: list[str]) -> dict[str, Any]:
    """The mapping that a run.yaml holds."""
    try:
        loaded = yaml.safe_load(written)
    except (yaml.YAMLError, ValueError, RecursionError):
        loaded = written
    if loaded is not None and not isinstance(loaded, dict):
        damage.append("run.yaml is torn: no settings could be read from it.")
    return {str(k): v for k, v in loaded.items()} if isinstance(loaded, dict) else {}


def json_object(path: Path, damage: list[str], expected: bool = True) -> dict[str, Any]:
    """The object that a file holds; empty where there is none."""
    written = text(path, damage, expected)
    if written is None:
        return {}
    try:
        loaded = json.loads(written)
    except (ValueError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        damage.append(f"{path.name} is torn: nothing could be read from it.")
    return loaded if isinstance(loaded, dict) else {}


def json_lines(path: Path, damage: list[str], expected: bool = True) -> Iterator[dict[str, Any]]:
    """The objects of a .jsonl file that have a whole "step"; the other lines are counted in `damage`."""
    bad: list[int] = []
    lines = 0
    try:
        with path.open("rb") as file:
            for lines, raw in enumerate(file, start=1):
                try:
                    record = json.loads(raw.decode("utf-8", "replace"))
                    record["step"] = int(record["step"])
                except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                    if raw.strip():
                        bad.append(lines)
                    continue
                if abs(record["step"]) < STEPS:
                    yield record
                else:
                    bad.append(lines)
    except FileNotFoundError:
        if expected:
            damage.append(f"{path.name} is missing.")
    except OSError as error:
        damage.append(f"{path.name} could not be read: {error.strerror}.")
    if bad == [lines]:
        damage.append(f"{path.name}: the last line is torn and was left out.")
    elif bad:
        count = f"{len(bad):,} of {lines:,} lines"
        damage.append(f"{path.name}: {count} could not be read and were left out (first: line {bad[0]:,}).")


def log_tail(path: Path) -> list[str]:
    """The last 15 lines, without colours and with a progress bar's last state only."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").rstrip().split("\n")
    except OSError:
        return []
    return [cut(ANSI.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]), LOG_WIDTH) for line in lines[-LOG_LINES:]]
