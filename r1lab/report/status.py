"""How a run ended, from its manifest: "finished", "failed" or "unfinished" with the cause in words."""

from datetime import UTC, datetime
from typing import Any


def status_of(manifest: dict[str, Any]) -> tuple[str, str | None]:
    """The status and its cause. A manifest that still says "running" belongs to a run that goes on or was killed."""
    written, cause = manifest.get("status"), manifest.get("cause")
    said = str(cause) if cause else None
    if written == "finished":
        return "finished", None
    if written == "failed":
        code = manifest.get("exit")
        return "failed", said or (
            "no cause was recorded" if code is None else f"exit code {code}, no cause was recorded"
        )
    if written == "interrupted":
        return "unfinished", said or "it was interrupted"
    if not manifest:
        return "unfinished", "the manifest is missing or torn, so nothing says how the run ended"
    return "unfinished", said or "no end was recorded: the run is still going, or it was killed"


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
