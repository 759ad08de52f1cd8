"""The run's metrics as they come: one line of `metrics.jsonl` per logged step."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.runs.folder import RunFolder

CLOCKS = ("time", "step_time")  # the only values that differ between a run and its resumed twin
SUMMARY = "train_runtime"  # present in the trainer's closing record only


class Stream(TrainerCallback):
    """Appends what the trainer logs to the run's folder, with the step and the seconds since the run began."""

    def __init__(self, folder: RunFolder, started: float):
        self.folder = folder
        self.started = started

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and SUMMARY not in logs:
            self.write(state.global_step, {named(key): value for key, value in logs.items()})

    def write(self, step: int, metrics: dict[str, Any]) -> None:
        """Append one record."""
        record = {"step": step, "time": round(time.time() - self.started, 3), **metrics}
        self.folder.append("metrics.jsonl", [record])


def named(key: str) -> str:
    """TRL's `rewards/NAME/mean` under the reward's own name."""
    return key.removesuffix("/mean") if key.startswith("rewards/") else key
