"""What became of runs, from Slurm's word and the run's own folder together."""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import R1labError, ResumeError
from r1lab.runs.folder import RunFolder, step_of
from r1lab.runs.states import (
    CANCELLED,
    FAILED,
    FINISHED,
    INTERRUPTED,
    QUEUED,
    RUNNING,
    UNREADABLE,
    of_an_earlier_start,
    state_from_here,
    state_of,
)
from r1lab.slurm.commands import UNDER_WAY, Job, jobs
from r1lab.slurm.record import Submitted, home, submitted, was_cancelled
from r1lab.slurm.script import LOG
from r1lab.wording import display

WAITS = {  # Slurm's reasons to wait, in words
    "Priority": "others are before it",
    "Resources": "the nodes it needs are busy",
    "Dependency": "a job it waits for has not ended",
    "DependencyNeverSatisfied": "a job it waits for failed: it will never start",
    "JobArrayTaskLimit": "as many runs of the sweep as may are running",
    "BeginTime": "it may start again in a moment",
    "QOSMaxJobsPerUserLimit": "as many of your jobs as may are running",
    "AssocMaxJobsLimit": "as many jobs of the account as may are running",
    "PartitionTimeLimit": "it asks for more time than the partition gives: it will never start",
    "PartitionDown": "the partition is down",
    "ReqNodeNotAvail": "nodes it needs are down or reserved",
    "launch failed requeued held": "its node did not start it in time, and Slurm holds it: scontrol release JOB",
    "job requeued in held state": "it went back to the queue and is held: scontrol release JOB",
    "JobHeldUser": "it is held: scontrol release JOB",
    "JobHeldAdmin": "an administrator holds it",
}
STUCK = (  # the reasons for which a run waits until somebody does something
    "DependencyNeverSatisfied",
    "PartitionTimeLimit",
    "launch failed requeued held",
    "job requeued in held state",
    "JobHeldUser",
    "JobHeldAdmin",
)
ENDED = {  # Slurm's states of jobs that failed by no doing of the run's
    "TIMEOUT": "its time was up before it could save a checkpoint",
    "NODE_FAIL": "a node failed",
    "OUT_OF_MEMORY": "memory ran out on a node",
    "PREEMPTED": "it was preempted and may not go back to the queue",
    "DEADLINE": "its deadline passed",
    "BOOT_FAIL": "a node did not boot",
    "REVOKED": "the cluster took it back",
}
OURS = {  # Slurm's states in the words of runs; where it says another one or none, the run's folder tells
    **dict.fromkeys(UNDER_WAY, QUEUED),
    **dict.fromkeys(("RUNNING", "COMPLETING"), RUNNING),
    **dict.fromkeys(ENDED, FAILED),
    "CANCELLED": CANCELLED,
}
DIED = re.compile(r"srun: error: (\S+): tasks? [\d,-]+: (Killed|Segmentation fault|Aborted|Bus error)")
TAIL = 8192  # bytes of a job's log that are looked at for its last words


@dataclass(frozen=True)
class Status:
    """How one run stands.

    Attributes:
        state: one of `runs.states`.
        why: why it waits, or the cause; "" for none.
        step: the last one in its stream, of `steps`.
        metrics: its last values.
        slurm: Slurm's word for the state of the job; "" where it is forgotten.
        stuck: whether it waits for somebody to do something.
    """

    run: Path
    job: str
    state: str
    why: str = ""
    step: int | None = None
    steps: int | None = None
    metrics: dict[str, Any] | None = None
    slurm: str = ""
    elapsed: str = ""
    nodes: str = ""
    stuck: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state not in (QUEUED, RUNNING)


def statuses(runs: Iterable[Submitted]) -> list[Status]:
    """How runs stand.

    Raises:
        SlurmError: Slurm does not answer.
    """
    listed = list(runs)
    known = jobs([item.job for item in listed])
    return [status(item, known.get(item.job)) for item in listed]


def under_way(run: Path) -> Status | None:
    """How a run stands that is in the queue, or that a job of the queue runs; None of any other.

    Raises:
        SlurmError: Slurm does not answer.
    """
    noted = [item for item in submitted(home(run)) if item.run == run.resolve()]
    return next((item for item in statuses(noted) if not item.over), None)


def in_queue(item: Status) -> str:
    """What to say to whoever would start a run that is under way."""
    folder = display(item.run)
    what = f"{folder} is {item.state} as {item.job} of Slurm's"
    return f"{what}\n    fix      wait for it, or python -m r1lab task=cancel task.run={shlex.quote(folder)}"


def status(item: Submitted, job: Job | None) -> Status:
    """How one run stands, given what Slurm knows of its job; None where Slurm has forgotten it."""
    try:
        return _status(item, job)
    except (R1labError, OSError) as error:  # one broken folder hides none of the others
        told = job or Job("")
        state = UNREADABLE if told.over else OURS[told.state]
        return Status(item.run, item.job, state, str(error), slurm=told.state, elapsed=told.elapsed, nodes=told.nodes)


def _status(item: Submitted, job: Job | None) -> Status:
    folder = RunFolder(item.run)
    manifest = folder.read_json("manifest.json")
    told = Job("CANCELLED") if job is None and was_cancelled(item) else job or Job("")
    earlier = told.state and of_an_earlier_start(folder, manifest)  # then it says nothing of how the job stands
    state, why = _state(folder, {} if earlier else manifest, told)
    why = why.replace("JOB", item.job) if told.reason in WAITS else why
    step, metrics = _last(folder)
    if state == FINISHED:
        metrics = {**metrics, **folder.read_json("metrics.json")}
    if state == QUEUED and manifest:
        last = folder.last_checkpoint()
        why = f"{why}; it goes on from step {step_of(last) if last else 0}"
    stuck = state == QUEUED and told.reason in STUCK
    word = job.state if job else ""
    return Status(
        item.run, item.job, state, why, step, _steps(item.run), metrics, word, told.elapsed, told.nodes, stuck
    )


def _state(folder: RunFolder, manifest: dict[str, Any], job: Job) -> tuple[str, str]:
    word, reason = job.state, job.reason
    queue = OURS.get(word)
    own, cause = state_of(manifest, held=queue == RUNNING)
    if queue == RUNNING:
        return (FINISHED, "") if own == FINISHED else (RUNNING, "")
    if queue == QUEUED:
        return QUEUED, WAITS.get(reason, reason or "it was just submitted")
    if own in (FINISHED, FAILED):
        return own, cause
    if queue == CANCELLED:
        return CANCELLED, "a job it waits for failed" if "Dependency" in reason else "it was cancelled"
    if queue == FAILED:
        return FAILED, ENDED[word]
    if word == "FAILED" and (death := supervisor_death(folder.path / LOG)):
        return FAILED, death
    if manifest.get("status") == INTERRUPTED and word != "FAILED":
        return INTERRUPTED, cause
    never = "and the run recorded no end" if manifest else "and the run never started"
    forgotten = f"Slurm has forgotten the job, {never}"
    return FAILED, last_words(folder.path / LOG) or ("the job ended without a word" if word else forgotten)


def started_here(folder: Path, queued: Collection[Path]) -> list[Status]:
    """How the runs in a folder stand that were started without a queue."""
    found = []
    for file in sorted(folder.rglob("manifest.json")):
        aside = any(part.startswith(".") for part in file.relative_to(folder).parts)  # what a sweep's earlier try left
        if aside or file.parent.resolve() in queued:
            continue
        try:
            found.append(_started(RunFolder(file.parent)))
        except (R1labError, OSError) as error:
            found.append(Status(file.parent, "", UNREADABLE, str(error)))
    return found


def _started(run: RunFolder) -> Status:
    manifest = run.read_json("manifest.json")
    state, why = state_from_here(run, manifest)
    step, metrics = _last(run)
    metrics |= run.read_json("metrics.json") if state == FINISHED else {}
    return Status(run.path, "", state, why, step, _steps(run.path), metrics)


def supervisor_death(log: Path) -> str:
    """Which node's supervisor was killed, which then could not write what had happened; "" where none was."""
    found = [match for line in _tail(log) if (match := DIED.match(line))]
    if not found:
        return ""
    how = "was killed" if found[-1][2] == "Killed" else f"crashed: {found[-1][2].lower()}"
    return f"the supervisor on {found[-1][1]} {how}"


def _tail(log: Path) -> list[str]:
    """The last lines of a job's log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def last_words(log: Path) -> str:
    """The last line of a job's log that says something, Slurm's notes on stopping the rest left out."""
    lines = _tail(log)
    told = [line.strip() for line in lines if line.strip()]
    own = [line for line in told if not line.startswith(("srun:", "slurmstepd"))]
    return (own or told or [""])[-1]


def _last(folder: RunFolder) -> tuple[int | None, dict[str, Any]]:
    """The last step in a run's stream, and the last value of every metric."""
    values: dict[str, Any] = {}
    step = None
    for record in deque(folder.records("metrics.jsonl"), maxlen=20):
        step = record["step"] if isinstance(record.get("step"), int) else step
        values |= {key: value for key, value in record.items() if key not in ("step", "time") and value is not None}
    return step, values


@cache
def _steps(run: Path) -> int | None:
    """The steps that a run means to make, where its config says."""
    try:
        trainer = RunFolder(run).read_config().get("trainer")
    except ResumeError:  # there is no config, or none that can be read: then nobody knows
        return None
    most = trainer.get("max_steps") if isinstance(trainer, DictConfig) else None
    return most if isinstance(most, int) and most > 0 else None
