"""Weights & Biases, online or offline; `wandb sync outputs/NAME/TIME/wandb/offline-run-*` sends an offline run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from r1lab.runs.states import FINISHED
from r1lab.trackers.base import Run, from_environment, numbers

VARIABLES = (
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_ENTITY",
    "WANDB_PROJECT",
    "WANDB_RUN_GROUP",
    "WANDB_TAGS",
    "WANDB_MODE",
    "WANDB_NOTES",
)
INIT = 60.0  # seconds for the server to answer the first time


class Wandb:
    """One run of a W&B project. What is null follows WANDB_ENTITY, WANDB_PROJECT, … of the environment or `.env`.

    Args:
        entity: the user or team.
        project: null and no WANDB_PROJECT: "r1lab".
        group: of the run.
        tags: of the run.
        mode: "online", "offline" or "disabled".
    """

    def __init__(
        self,
        entity: str | None = None,
        project: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        mode: str | None = None,
    ):
        os.environ.update(from_environment(*VARIABLES))
        self.entity = entity
        self.project = project or os.environ.get("WANDB_PROJECT") or "r1lab"
        self.group = group
        self.tags = tags or None
        self.mode = mode

    def start(self, run: Run) -> str:
        """Begin the run, or continue the one with that id."""
        import wandb  # reads the variables above when it is imported

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            init_timeout=INIT,
            x_stats_pid=os.getppid(),  # the training process, not this one
        )
        self.run = wandb.init(
            entity=self.entity,
            project=self.project,
            group=self.group,
            tags=self.tags,
            mode=self.mode,
            id=run.id,
            resume="allow" if run.id else None,
            name=run.name,
            dir=str(run.folder),
            config={**run.config, "manifest": run.manifest},
            settings=settings,
        )
        return str(self.run.id)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One record; W&B joins records of one step."""
        self.run.log(metrics, step=step)

    def finish(self, metrics: dict[str, Any], status: str, page: Path | None) -> None:
        """Final metrics as the summary, the page as an artifact, and the status as exit code and summary."""
        import wandb

        self.run.summary.update({**numbers(metrics), "status": status})
        if page:
            artifact = wandb.Artifact(f"report-{self.run.id}", type="report")
            artifact.add_file(str(page))
            self.run.log_artifact(artifact)
        self.run.finish(exit_code=0 if status == FINISHED else 1)
