"""task=cancel: end runs that Slurm runs or that wait in its queue."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import ReportError
from r1lab.runs.states import FAILED, FINISHED
from r1lab.slurm.commands import cancel
from r1lab.slurm.record import note_cancelled, submitted_below
from r1lab.slurm.states import statuses
from r1lab.wording import display, plural


def run(cfg: DictConfig) -> None:
    """Cancel every run in `task.run` that is not over.

    Raises:
        ReportError: none is named, or no run in it was ever handed to Slurm.
        ResumeError: what was handed to it cannot be read.
        SlurmError: Slurm does not answer or refuses.
    """
    if not cfg.task.run:
        raise ReportError("task.run names no folder: task.run=outputs/… of a run or a sweep")
    folder = Path(str(cfg.task.run))
    queued = submitted_below(folder) if folder.is_dir() else []
    if not queued:
        raise ReportError(f"{folder} holds no run that was handed to Slurm")
    stands = {item.job: item for item in statuses(queued)}
    going = [item for item in queued if not stands[item.job].over]
    for item in queued:  # first: a command that waits for them sees no job gone without a note, and tries none again
        if not stands[item.job].over or stands[item.job].state == FAILED:
            note_cancelled(item, over=stands[item.job].over)
    cancel([item.job for item in going])
    finished = {item.job for item in statuses(going) if item.state == FINISHED}  # meanwhile
    going = [item for item in going if item.job not in finished]
    for item in going:
        print(f"cancelled {item.job}  {display(item.run)}")
    print(f"{plural(len(going), 'run')} cancelled, {len(queued) - len(going)} had ended")
