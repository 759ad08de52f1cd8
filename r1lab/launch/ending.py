"""How a run ended, told from its folder: the first failure, else what the manifest says, else the exit code."""

from __future__ import annotations

import shlex
import signal
from typing import Any

from r1lab.errors import ConfigError, Finding, Requeue, RunError, StorageError, UserError
from r1lab.launch import STOPPED, UNRECORDED
from r1lab.runs import manifest
from r1lab.runs.failures import Failure
from r1lab.runs.folder import AGAIN, RunFolder
from r1lab.runs.states import FAILED, FINISHED
from r1lab.wording import killed_by


def conclude(folder: RunFolder, code: int, first: Failure | None, owner: bool = True) -> dict[str, Any]:
    """The metrics of a run that has ended, or the error that tells how it did.

    Args:
        folder: the run's.
        code: the exit code of this node's training processes.
        first: the first failure of all nodes' processes, if there was one.
        owner: whether this is the node of the first training process, which keeps the manifest.

    Raises:
        RunError: the run failed; the message is its cause.
        UserError: the run found, once its libraries were loaded, that it cannot run as asked.
        Requeue: the queue's time for it was up; it goes on when it is started again.
        KeyboardInterrupt: the run was interrupted.
    """
    if code == 0 and first is None and owner and (folder.path / AGAIN).exists():
        raise Requeue(str(folder.read_json("manifest.json").get("cause")))
    finished = folder.read_json("manifest.json").get("status") == FINISHED
    if code == 0 and first is None and (finished or not owner):
        return folder.read_json("metrics.json") if owner else {}
    if first is not None and owner and not (finished and code == 0):
        record_first(folder, first)
    raise failure(folder, code, first)


def record_first(folder: RunFolder, first: Failure) -> None:
    """Write the first failure into the manifest of a run that began, over what other processes had to say."""
    if not folder.read_json("manifest.json"):
        return
    exit_code = first.exit if first.exit else 1
    manifest.end(folder, FAILED, exit_code, first.cause)
    if first.findings:
        manifest.add(folder, findings=first.findings)


def failure(folder: RunFolder, code: int, first: Failure | None = None) -> BaseException:
    """The error that tells how a run's processes ended."""
    known = folder.read_json("manifest.json")
    cause = first.cause if first else known.get("cause")
    if first is None and code in (STOPPED, -signal.SIGINT):
        return KeyboardInterrupt()
    code = first.exit if first else code
    findings = first.findings if first else known.get("findings")
    if code == ConfigError.exit_code and findings:
        return ConfigError([Finding(**finding) for finding in findings])
    if code == UserError.exit_code:
        return UserError(cause or f"the run refused its config; see {folder.path}/run.log")
    if code == UNRECORDED:
        return StorageError(f"{folder.path} cannot be written: is its disk full?")
    if code == 0:
        cause = "the training process ended itself before the run was finished"
    elif code < 0 and first is None:
        cause = f"the training process was {killed_by(-code)}"
    if code <= 0 and first is None and known:  # else it was killed before it began
        manifest.add(folder, status=FAILED, cause=cause, exit=code)
    log = f"{folder.path}/{first.log if first else 'run.log'}"
    again = f"python -m r1lab resume={shlex.quote(str(folder.path))}"
    resumable = f"\n    resume   {again}" if folder.resumable() else ""
    where = f"\n    node     {first.host}" if first and first.node else ""
    return RunError(f"{cause or f'the run ended with exit code {code}'}{where}\n    log      {log}{resumable}")
