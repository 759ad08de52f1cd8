"""`slurm.json`: which runs of a folder were handed to Slurm as which array tasks; and which were taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from r1lab.errors import ResumeError
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger

FILE = "slurm.json"
MOVE = "move that file away: which of its runs are in the queue is then not known here, squeue shows it; or put it back"
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
    with _noted(folder).changing() as content:
        known = content.setdefault("jobs", {})
        known.update({str(run.resolve()): f"{array}_{index}" for index, run in runs.items()})
    return [Submitted(run, f"{array}_{index}") for index, run in runs.items()]


def submitted(folder: Path) -> list[Submitted]:
    """The runs that a folder notes, in the order of submission.

    Raises:
        ResumeError: what it notes cannot be read.
    """
    jobs = _noted(folder).read().get("jobs", {})
    if not isinstance(jobs, dict) or not all(isinstance(job, str) for job in jobs.values()):
        raise ResumeError(f"{folder / FILE} cannot be read: its jobs are none", MOVE)
    return [Submitted(Path(run), job) for run, job in jobs.items()]


def submitted_below(folder: Path, broken: dict[Path, str] | None = None) -> list[Submitted]:
    """The runs noted in a folder or anywhere below it; a run's own folder finds those of its sweep's that is itself.

    Args:
        folder: the folder.
        broken: takes the folders whose notes cannot be read, and why; None refuses them.

    Raises:
        ResumeError: notes cannot be read.
    """
    own = not (folder / FILE).is_file() and (folder.parent / FILE).is_file() and (folder / "run.yaml").is_file()
    found: list[Submitted] = []
    for file in [folder.parent / FILE] if own else sorted(folder.rglob(FILE)):
        try:
            found += submitted(file.parent)
        except ResumeError as error:
            if broken is None:
                raise
            broken[file.parent] = str(error)
    return list({item.run: item for item in found if not own or item.run == folder.resolve()}.values())


def _noted(folder: Path) -> Ledger:
    return Ledger(folder / FILE, fix=MOVE)


def note_cancelled(item: Submitted) -> None:
    """Note in a run's folder that its job was cancelled: Slurm keeps nothing of an array task that never started."""
    RunFolder(item.run).write_json(TAKEN_BACK, {"job": item.job})


def was_cancelled(item: Submitted) -> bool:
    """Whether it is noted of this job, and not of an earlier one of the run.

    Raises:
        ResumeError: the note cannot be read.
    """
    return RunFolder(item.run).read_json(TAKEN_BACK).get("job") == item.job
