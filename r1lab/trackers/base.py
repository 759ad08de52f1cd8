"""What a tracker's sink is: four things to know about a run, and three things to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from r1lab.config.environment import lookup


@dataclass(frozen=True)
class Run:
    """A run as a tracker sees it; no secret is in it.

    Attributes:
        name: "NAME/TIME", the run's folder below `outputs`.
        config: the resolved config, flat, by dotted key.
        manifest: command, commit, versions, hardware, seed.
        folder: the run's.
        outputs: the folder of all runs.
        id: of the tracker's own run that an earlier part of this run began; None for a new one.
    """

    name: str
    config: dict[str, Any]
    manifest: dict[str, Any]
    folder: Path
    outputs: Path
    id: str | None = None


class Sink(Protocol):
    """One tracker. It runs in a process of its own, so it may be slow, raise and even hang."""

    def start(self, run: Run) -> str | None:
        """Begin a run, or continue the one of `run.id`; its id, by which it can be continued."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Take one record of the stream. Steps never fall, and several records may share one."""

    def finish(self, metrics: dict[str, Any], status: str, page: Path | None) -> None:
        """End the run.

        Args:
            metrics: the final ones, of `metrics.json`; empty where the run did not get there.
            status: "finished", "failed" or "interrupted".
            page: the run's report, where there is one.
        """


def numbers(record: dict[str, Any]) -> dict[str, float]:
    """The values of a record that a tracker can draw: finite numbers, without the step."""
    return {
        name: value
        for name, value in record.items()
        if name != "step" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def from_environment(*names: str) -> dict[str, str]:
    """Those of some variables that the environment or `.env` sets."""
    return {name: value for name in names if (value := lookup(name))}
