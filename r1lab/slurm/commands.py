"""Slurm's commands and what they answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r1lab.errors import SlurmError

PATIENCE = 120  # seconds that a command may take: a busy controller answers late
ANOTHER_JOBS = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "PMI_", "PMIX_")
KEPT = ("SLURM_CONF",)  # where the cluster's configuration is, not what a job was given
PREFIX = re.compile(r"^(\w+: )?((error|fatal): )*")
MOST_ASKED = 400  # job ids in one command line


@dataclass(frozen=True)
class Job:
    """What Slurm knows of one job or array task.

    Attributes:
        state: Slurm's word: PENDING, RUNNING, COMPLETED, FAILED, TIMEOUT, …
        reason: why it waits or how it ended, in Slurm's word; "" for none.
        elapsed: as Slurm writes it, days-hours:minutes:seconds.
        nodes: the node list, "" while it has none.
        code: exit code, where it is known.
    """

    state: str
    reason: str = ""
    elapsed: str = ""
    nodes: str = ""
    code: int | None = None

    @property
    def over(self) -> bool:
        """Whether it will not run again by itself."""
        return self.state not in UNDER_WAY


UNDER_WAY = (
    "PENDING",
    "CONFIGURING",
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "STOPPED",
    "SIGNALING",
    "STAGE_OUT",
    "RESIZING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "SPECIAL_EXIT",
)


def present() -> bool:
    """Whether Slurm's commands are on this machine."""
    return shutil.which("sbatch") is not None


def environment() -> dict[str, str]:
    """This environment without what a job that this process runs in was given: a new job must not inherit it."""
    return {key: value for key, value in os.environ.items() if key in KEPT or not key.startswith(ANOTHER_JOBS)}


def call(*words: str | Path) -> str:
    """Run one of Slurm's commands; what it prints.

    Raises:
        SlurmError: it is not there, does not answer, or refuses.
    """
    command = list(map(str, words))
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, env=environment()
        )
    except FileNotFoundError as error:
        raise SlurmError(f"{command[0]} is not on PATH: this machine is no login node of a Slurm cluster") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} did not answer within {PATIENCE} s") from error
    if done.returncode:
        said = [PREFIX.sub("", line) for line in done.stderr.splitlines() if line.strip()]
        raise SlurmError(f"{command[0]}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def submit(script: Path) -> str:
    """Queue a script; the job's id.

    Raises:
        SlurmError: Slurm refuses it.
    """
    return call("sbatch", "--parsable", script).strip().partition(";")[0]


def arrays_of(script: Path) -> dict[str, set[str]]:
    """The arrays of one script that Slurm knows, with the indices of their tasks.

    Raises:
        SlurmError: Slurm does not answer.
    """
    listed = call("squeue", "--noheader", "--me", "--array", "--states=all", "--format=%F|%K|%o")
    found: dict[str, set[str]] = {}
    for line in listed.splitlines():
        array, index, command = line.split("|", 2)
        if command.strip() == str(script):
            found.setdefault(array, set()).add(index)
    return found


def try_out(script: Path) -> str:
    """Why Slurm would refuse a script; "" where it would not. Nothing is queued."""
    try:
        call("sbatch", "--test-only", script)
    except SlurmError as error:
        return str(error).removeprefix("sbatch: ")
    return ""


def jobs(ids: Sequence[str]) -> dict[str, Job]:
    """What Slurm knows of jobs, by id; array tasks as "123_4". Those it has forgotten are left out.

    Raises:
        SlurmError: Slurm does not answer.
    """
    found: dict[str, Job] = {}
    parents = list(dict.fromkeys(item.partition("_")[0] for item in ids))
    for start in range(0, len(parents), MOST_ASKED):
        asked = parents[start : start + MOST_ASKED]
        found |= _from_queue(asked)
        if missing := [item for item in asked if not any(key.partition("_")[0] == item for key in found)]:
            found |= _from_accounting(missing)
    # tasks that were cancelled while they waited have one record for all of them, that of the array
    told = {item: found.get(item) or found.get(item.partition("_")[0]) for item in ids}
    return {item: job for item, job in told.items() if job is not None}


def _from_queue(ids: Sequence[str]) -> dict[str, Job]:
    words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%M|%N"]
    try:
        listed = call(*words, f"--jobs={','.join(ids)}")
    except SlurmError as error:
        if "Invalid job id" in str(error):  # it has ended and been forgotten
            return {}
        raise
    found = {}
    for line in listed.splitlines():
        name, state, reason, elapsed, nodes = line.split("|", 4)
        found[name] = Job(state, "" if reason == "None" else reason, elapsed, nodes)
    return found


def _from_accounting(ids: Sequence[str]) -> dict[str, Job]:
    words = [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        "--format=JobID,State,Reason,Elapsed,NodeList,ExitCode",
    ]
    try:
        listed = call(*words, f"--jobs={','.join(ids)}")
    except SlurmError:  # a cluster without accounting forgets; the run's folder still tells
        return {}
    found = {}
    for line in listed.splitlines():
        name, state, reason, elapsed, nodes, code = line.split("|", 5)
        number = code.partition(":")[0]
        reason = "" if reason == "None" else reason
        found[name] = Job(state.split()[0], reason, elapsed, nodes, int(number) if number.isdigit() else None)
    return found


def hosts(nodes: str) -> list[str]:
    """The names in a node list such as "gpu-[01-03,7]".

    Raises:
        SlurmError: it is none, or Slurm does not answer.
    """
    return call("scontrol", "show", "hostnames", nodes).split()


def cancel(ids: Sequence[str]) -> None:
    """End jobs, or take them out of the queue.

    Raises:
        SlurmError: Slurm does not answer or refuses.
    """
    for start in range(0, len(ids), MOST_ASKED):
        call("scancel", *ids[start : start + MOST_ASKED])
