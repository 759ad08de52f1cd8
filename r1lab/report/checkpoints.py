"""What runs of their own measured at a training's checkpoints, for the training's page."""

from __future__ import annotations

import json
from pathlib import Path

import yaml


def of_checkpoints(folder: Path) -> dict[str, dict[int, float]]:
    """Values by step for each metric, as `benchmark/DATASET/METRIC`; of evaluations that have ended.

    Args:
        folder: the training's `evaluations/`, which holds `step-N/COMMAND/RUN/` for each.
    """
    found: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("step-*/*/*/metrics.json")):
        step = int(file.parents[2].name.removeprefix("step-"))
        try:
            metrics = json.loads(file.read_text(encoding="utf-8"))
            config = yaml.safe_load((file.parent / "run.yaml").read_text(encoding="utf-8"))
            name = config["dataset"]["name"]
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):  # torn: its own page tells
            continue
        for key, value in metrics.items():
            if key.startswith("eval/") and isinstance(value, int | float):
                found.setdefault(f"benchmark/{name}/{key.removeprefix('eval/')}", {})[step] = float(value)
    return found
