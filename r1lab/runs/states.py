"""How a run stands: the words for it, and what its own folder says.

The manifest, the status table, the pages, pipelines and sweeps use these words and no others. What a queue says of a
job is put into them in `slurm.states`, and goes before what the folder says.
"""

from __future__ import annotations

import datetime
import socket
from collections.abc import Mapping
from typing import Any

from r1lab.runs.folder import TYPED, RunFolder

WAITING = "waiting"  # nothing of it has begun
QUEUED = "queued"  # its job is in the queue
RUNNING = "running"
FINISHED = "finished"
INTERRUPTED = "interrupted"  # stopped or killed: it may go on where it was
CANCELLED = "cancelled"  # its job was taken out of the queue
FAILED = "failed"
UNREADABLE = "unreadable"  # its folder does not say
STATES = (RUNNING, QUEUED, WAITING, FINISHED, INTERRUPTED, CANCELLED, FAILED, UNREADABLE)  # as they are listed
COLOURS = {
    QUEUED: "dim",
    WAITING: "dim",
    FINISHED: "green",
    INTERRUPTED: "yellow",
    **dict.fromkeys((CANCELLED, FAILED, UNREADABLE), "red"),
}


def state_of(manifest: Mapping[str, Any], held: bool) -> tuple[str, str]:
    """The state of a run by its own folder, which knows of no queue, and why; "" where there is nothing to say.

    Args:
        manifest: as the run wrote it; empty where there is none.
        held: whether a process is running in the folder.
    """
    written, cause, code = manifest.get("status"), str(manifest.get("cause") or ""), manifest.get("exit")
    if written == FINISHED:
        return FINISHED, ""
    if written == FAILED:
        return FAILED, cause or ("" if code is None else f"exit code {code}, ") + "no cause was recorded"
    if held:
        return RUNNING, ""
    if written == INTERRUPTED:
        return INTERRUPTED, cause or "it was interrupted"
    if manifest:
        return INTERRUPTED, "no end was recorded: it was killed, or runs on another machine"
    return WAITING, ""


def state_from_here(folder: RunFolder, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """As `state_of`, as far as this machine can see: of a run that began on another one, only what it wrote.

    Raises:
        OSError: the folder cannot be looked at.
    """
    state, why = state_of(manifest, folder.in_use())
    host = manifest.get("host")
    if state != INTERRUPTED or manifest.get("status") != RUNNING or host is None:
        return state, why
    if host == socket.gethostname():
        return INTERRUPTED, "no end was recorded: it was killed"
    files = (folder.path / name for name in ("manifest.json", "metrics.jsonl", "run.log"))
    last = max((file.stat().st_mtime for file in files if file.is_file()), default=None)
    wrote = f" of {datetime.datetime.fromtimestamp(last):%Y-%m-%d %H:%M}" if last else ""
    return RUNNING, f"on {host} by its last word{wrote}; whether it goes on cannot be seen from this machine"


def of_an_earlier_start(folder: RunFolder, manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is what the run had left when it was queued: nothing of its job has begun yet."""
    ended = folder.read_json(TYPED).get("ended")
    return ended is not None and manifest.get("ended") == ended


def finished_since_queued(folder: RunFolder) -> bool:
    """Whether a run has finished, and not before it was handed to the queue to be made longer."""
    manifest, queued = folder.read_json("manifest.json"), folder.read_json(TYPED)
    return manifest.get("status") == FINISHED and "ended" in queued and not of_an_earlier_start(folder, manifest)


def coloured(state: str) -> str:
    """A state in its colour, as `rich` writes it."""
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state
