"""`slurm.json`: which runs of a folder were handed to Slurm as which array tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from r1lab.runs.ledger import Ledger

FILE = "slurm.json"


@dataclass(frozen=True)
class Submitted:
    """One run in the queue, or once there.

    Attributes:
        run: the run's folder.
        job: the array task, "123_4".
    """

    run: Path
    job: str


def add(folder: Path, array: str, runs: Mapping[int, Path]) -> list[Submitted]:
    """Note an array that was submitted; a run that was there before belongs to the new one."""
    with Ledger(folder / FILE).changing() as content:
        known = content.setdefault("jobs", {})
        known.update({str(run.resolve()): f"{array}_{index}" for index, run in runs.items()})
    return [Submitted(run, f"{array}_{index}") for index, run in runs.items()]


def submitted(folder: Path) -> list[Submitted]:
    """The runs that a folder notes, in the order of submission."""
    jobs = Ledger(folder / FILE).read().get("jobs", {})
    return [Submitted(Path(run), str(job)) for run, job in jobs.items()]


def submitted_below(folder: Path) -> list[Submitted]:
    """The runs noted in a folder or anywhere below it; a run's own folder finds those of its sweep's that is itself."""
    if not (folder / FILE).is_file() and (folder.parent / FILE).is_file() and (folder / "run.yaml").is_file():
        return [item for item in submitted(folder.parent) if item.run == folder.resolve()]
    found = [item for file in sorted(folder.rglob(FILE)) for item in submitted(file.parent)]
    return list({item.run: item for item in found}.values())
