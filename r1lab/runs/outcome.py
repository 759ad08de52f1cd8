"""How a run ended that may be tried again; of one that failed, whether the fault is memory, machinery or its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from r1lab.runs import failures
from r1lab.runs.folder import RunFolder
from r1lab.runs.states import FAILED, FINISHED, WAITING, state_of

MEMORY, MACHINERY, OWN = "memory", "machinery", "own"  # why a run failed
_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|^memory ran out|can't allocate memory|cannot allocate memory|"
    r"Unable to allocate|CUBLAS_STATUS_ALLOC_FAILED|bad_alloc",
    re.IGNORECASE,
)
_OF_MACHINERY = re.compile(
    r"killed by SIG|"  # by hand, by a scheduler, or by a crash in native code
    r"\b(?:EngineError|SandboxError|HubError|StorageError|SlurmError|DistBackendError|DistNetworkError|DistStoreError"
    r"|ConnectError|ConnectionError|ConnectionResetError|ConnectionRefusedError|BrokenPipeError|RemoteProtocolError"
    r"|ReadTimeout|ConnectTimeout|TimeoutError|HfHubHTTPError|ServerDisconnectedError)\b|"
    r"the server (?:at|on) |NCCL error|uncorrectable ECC|unspecified launch failure|CUDA driver|the disk is full|"
    r"No space left on device|connection (?:reset|closed|refused|aborted)|a node failed|a node did not boot|"
    r"it was preempted|the cluster took it back|its time was up|Slurm has forgotten the job|the supervisor on ",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Outcome:
    """What a run's folder tells.

    Attributes:
        state: one of `states`.
        cause: in a sentence.
        fault: of one that failed: MEMORY, MACHINERY (a server, a sandbox, a network, a disk, a node, a signal), or OWN:
            it would end so again.
    """

    state: str = WAITING  # nothing ran
    cause: str = ""
    fault: str = ""


NOTHING = Outcome()


def outcome(folder: RunFolder, why: str = "") -> Outcome:
    """How the run in a folder ended.

    Args:
        folder: the run's; no process is running in it.
        why: what others say of its end, where the run itself could not write it: its launcher, or a queue.
    """
    manifest = folder.read_json("manifest.json")
    state, cause = state_of(manifest, held=False)
    if state == FAILED:
        return Outcome(FAILED, cause, fault_of(f"{cause}\n{_error_of(folder, cause)}"))
    if why and state != FINISHED:
        return Outcome(FAILED, why, fault_of(why))
    return Outcome(state, cause)


def fault_of(text: str) -> str:
    """MEMORY, MACHINERY or OWN, by the words of a cause and the name of its error."""
    if re.search("killed by SIG", text):  # whose hint speaks of memory, which is a guess
        return MACHINERY
    if _OF_MEMORY.search(text):
        return MEMORY
    return MACHINERY if _OF_MACHINERY.search(text) else OWN


def _error_of(folder: RunFolder, cause: str) -> str:
    """The type of the error that a record of a failure names."""
    records = (failures.read(path) for path in (folder.path / "failures").glob("*.json"))
    return next((record.error for record in records if record and record.cause == cause), "")
