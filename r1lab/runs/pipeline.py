"""`pipeline.json`: the stages of a pipeline's last start, for whoever looks at it: the page, task=status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r1lab.errors import ResumeError
from r1lab.runs.folder import REMOVE, RunFolder

FILE = "pipeline.json"
TEXTS = ("name", "folder", "does", "told")  # of each stage


def write(folder: Path, name: str, command: str, stages: list[dict[str, Any]]) -> None:
    """Write the record.

    Args:
        folder: the pipeline's.
        name: the pipeline's.
        command: what was typed to start it.
        stages: of each `name`, `task`, `key`, `folder`, `takes` ([stage, output] pairs), `does` and `why`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    RunFolder(folder).write_json(FILE, {"name": name, "command": command, "stages": stages})


def read(folder: Path) -> dict[str, Any]:
    """The record; empty where there is none.

    Raises:
        ResumeError: what is there is no record.
    """
    found = RunFolder(folder).read_json(FILE)
    stages = found.get("stages", [])
    if not isinstance(stages, list) or not all(
        isinstance(stage, dict) and all(isinstance(stage.get(name), str) for name in TEXTS) for stage in stages
    ):
        raise ResumeError(f"{folder / FILE} cannot be read: its stages are none", REMOVE)
    return found
