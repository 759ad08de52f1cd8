"""How a run stands as a page tells it, and how long it took."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from r1lab.runs.folder import RunFolder
from r1lab.runs.states import INTERRUPTED, WAITING, state_from_here


def status_of(folder: Path, manifest: dict[str, Any], begun: bool) -> tuple[str, str | None]:
    """The state and its cause.

    Args:
        manifest: as far as it could be read.
        begun: whether the folder holds anything that a run writes on its way.
    """
    state, cause = state_from_here(RunFolder(folder), manifest)
    if state == WAITING and begun:
        return INTERRUPTED, "the manifest is missing or torn, so nothing says how the run ended"
    return state, cause or None


def seconds_between(started: object, ended: object) -> float | None:
    """The seconds between two ISO 8601 moments (UTC where they name no zone); None when either is not one."""
    start, end = _moment(started), _moment(ended)
    return (end - start).total_seconds() if start and end else None


def _moment(written: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
