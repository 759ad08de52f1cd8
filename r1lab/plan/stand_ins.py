"""What stands for an output that no stage has made yet, while the stage that takes it is planned.

A folder that holds what such an output holds, so that a wrong column or a model that is none is found before the first
stage and not after it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.rows.look import PLANNED, look

TURNS = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
SAMPLE: dict[str, Any] = {"prompt": TURNS[:1], "solution": "1", "messages": TURNS, "completion": "!", "rewards": {}}
MADE = {  # columns that a task adds to those of its dataset
    "dataset": ("prompt", "solution"),
    "completions": ("prompt", "solution", "messages", "completion", "rewards"),
}


def stand_in(cfg: DictConfig, beside: Path, output: str) -> Path:
    """A folder that looks to the planner as an output will look, once it is there.

    Args:
        cfg: the resolved config of the stage that will make it.
        beside: where such folders of that stage are made.
        output: its name.
    """
    folder = beside / output
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    if output == "model":
        (folder / "config.json").write_text("{}")
    elif output in MADE:
        names = [*_columns(cfg), *MADE[output]]
        if cfg.task.name == "generate" and output == "dataset":
            names = list(SAMPLE)
        row = {name: SAMPLE.get(name, "?") for name in names}
        (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def _columns(cfg: DictConfig) -> list[str]:
    """The columns of a stage's own dataset."""
    if cfg.dataset.get("columns"):
        return list(cfg.dataset.columns)
    path = cfg.dataset.get("path")
    return look(str(path), most=PLANNED).columns if path and Path(str(path)).exists() else []
