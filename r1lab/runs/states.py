"""How a run stands: the words for it, and what its own folder says.

The manifest, the status table, the pages, pipelines and sweeps use these words and no others. What a queue says of a
job is put into them in `slurm.states`, and goes before what the folder says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def coloured(state: str) -> str:
    """A state in its colour, as `rich` writes it."""
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state
