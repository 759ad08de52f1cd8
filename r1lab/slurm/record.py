"""`slurm.json`: which runs of a folder were handed to Slurm as which array tasks; and which were taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger

FILE = "slurm.json"
TAKEN_BACK = "cancelled.json"  # in a run's folder: the job that was cancelled


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


def note_cancelled(item: Submitted) -> None:
    """Note in a run's folder that its job was cancelled: Slurm keeps nothing of an array task that never started."""
    RunFolder(item.run).write_json(TAKEN_BACK, {"job": item.job})


def was_cancelled(item: Submitted) -> bool:
    """Whether it is noted of this job, and not of an earlier one of the run.

    Raises:
        ResumeError: the note cannot be read.
    """
    return RunFolder(item.run).read_json(TAKEN_BACK).get("job") == item.job
