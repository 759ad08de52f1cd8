"""Trackio: a local database, shown by `trackio show`; or a Space, where one is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from r1lab.trackers.base import Run, from_environment, numbers


class Trackio:
    """One run of a Trackio project.

    Args:
        project: the project.
        dir: the folder of its database; null: Trackio's own, or TRACKIO_DIR.
        space: a Hugging Face Space to log to, "user/name"; null: this machine alone.
    """

    def __init__(self, project: str = "r1lab", dir: str | None = None, space: str | None = None):
        self.project = project
        self.space = space
        if dir:
            os.environ["TRACKIO_DIR"] = str(Path(dir).resolve())
        os.environ.update(from_environment("HF_TOKEN", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"))

    def start(self, run: Run) -> str:
        """Begin the run, or continue the one of that name."""
        import trackio  # reads TRACKIO_DIR when it is imported

        config = {
            key.replace("_target_", "target"): value for key, value in run.config.items()
        }  # `_…` is Trackio's own
        self.run = trackio.init(
            project=self.project,
            name=run.id or run.name,
            config={**config, "manifest": run.manifest},
            resume="allow",
            space_id=self.space,
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.step = 0
        return str(self.run.name)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One record."""
        self.step = step
        self.run.log(metrics, step=step)

    def finish(self, metrics: dict[str, Any], status: str, page: Path | None) -> None:
        """Final metrics under `final/`, with the status: Trackio has no summary of its own."""
        final = {f"final/{name}": value for name, value in numbers(metrics).items()}
        self.run.log({**final, "status": status}, step=self.step)
        self.run.finish()
