"""`slurm.json`: which runs of a folder were handed to Slurm as which array tasks; and which were taken back.

What is about to be handed over is noted before: Slurm may have taken it when whoever did so is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1lab.errors import ResumeError
from r1lab.runs import sweeps
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger
from r1lab.slurm.commands import arrays_of, submit

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


def home(run: Path) -> Path:
    """The folder that notes a run's job: that of its sweep, or its own."""
    of_sweep = any((run.parent / name).is_file() for name in (FILE, sweeps.FILE))
    return run.parent if of_sweep else run


def hand_over(script: Path, runs: Mapping[int, Path]) -> list[Submitted]:
    """Queue a script and note it; a run that was there before belongs to the new job.

    Args:
        script: of one array.
        runs: by the array's index.

    Raises:
        SlurmError: Slurm refuses it, or does not answer.
    """
    (folder,) = {home(run) if run.resolve() == script.parent else script.parent for run in runs.values()}
    ledger = _ledger(folder)
    with ledger.changing() as content:
        content.setdefault("handing", {})[str(script)] = {str(index): str(run.resolve()) for index, run in runs.items()}
    array = submit(script)
    _note(ledger, script, array)
    return [Submitted(run, f"{array}_{index}") for index, run in runs.items()]


def _note(ledger: Ledger, script: Path, array: str) -> None:
    with ledger.changing() as content:
        handed = content.get("handing", {}).pop(str(script), {})
        content.setdefault("jobs", {}).update({run: f"{array}_{index}" for index, run in handed.items()})


def noted(folder: Path) -> dict[str, dict[str, Any]]:
    """What a folder notes: `jobs` by run, and what is being handed over; empty where nothing is.

    Raises:
        ResumeError: it cannot be read.
    """
    content = _ledger(folder).read()
    jobs, handing = content.get("jobs", {}), content.get("handing", {})
    whole = isinstance(jobs, dict) and isinstance(handing, dict)
    if not whole or not all(isinstance(job, str) and job.partition("_")[0].isdigit() for job in jobs.values()):
        raise ResumeError(f"{folder / FILE} cannot be read: its jobs are none", MOVE)
    return {"jobs": jobs, "handing": {script: runs for script, runs in handing.items() if isinstance(runs, dict)}}


def submitted(folder: Path) -> list[Submitted]:
    """The runs that a folder notes, in the order of submission; where a kill fell into handing over, Slurm is asked.

    Raises:
        ResumeError: what it notes cannot be read.
        SlurmError: Slurm has to be asked, and does not answer.
    """
    content = noted(folder)
    for script, runs in content["handing"].items():
        before = max((int(content["jobs"].get(run, "0").partition("_")[0]) for run in runs.values()), default=0)
        arrays = [int(array) for array, indices in arrays_of(Path(script)).items() if indices & runs.keys()]
        if max(arrays, default=0) > before:
            _note(_ledger(folder), Path(script), str(max(arrays)))
    return [Submitted(Path(run), job) for run, job in noted(folder)["jobs"].items()]


def submitted_below(folder: Path, broken: dict[Path, str] | None = None) -> list[Submitted]:
    """The runs noted in a folder or anywhere below it; a run's own folder finds those of its sweep's that is itself.

    Args:
        folder: the folder.
        broken: takes the folders whose notes cannot be read, and why; None refuses them.

    Raises:
        ResumeError: notes cannot be read.
        SlurmError: as `submitted`.
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


def _ledger(folder: Path) -> Ledger:
    return Ledger(folder / FILE, fix=MOVE)


def note_cancelled(item: Submitted, over: bool = False) -> None:
    """Note in a run's folder that its job was cancelled: Slurm keeps nothing of an array task that never started.

    Args:
        item: the run.
        over: whether the job had failed by itself, and is only not to be tried again.
    """
    RunFolder(item.run).write_json(TAKEN_BACK, {"job": item.job, "over": over})


def was_cancelled(item: Submitted) -> bool:
    """Whether it is noted of this job, and not of an earlier one of the run.

    Raises:
        ResumeError: the note cannot be read.
    """
    note = RunFolder(item.run).read_json(TAKEN_BACK)
    return note.get("job") == item.job and not note.get("over")


def given_up(item: Submitted) -> bool:
    """Whether somebody has cancelled the run since it got this job, be it that the job had failed by then.

    Raises:
        ResumeError: the note cannot be read.
    """
    return RunFolder(item.run).read_json(TAKEN_BACK).get("job") == item.job
