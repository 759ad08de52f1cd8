"""The first failure of a run of several processes: one record, written by whoever fails first, and by nobody else.

When one process dies, the others fail as well, of what its death does to them: "connection closed by peer" is not the
cause. So an error that a death elsewhere can explain waits for a moment whether somebody has a better one.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from r1lab.runs.folder import dumps

PATIENCE = 4.0  # seconds that an error of the connection waits for its cause
OF_THE_CONNECTION = (  # words of errors that somebody else's death explains
    "connection reset",
    "connection closed",
    "connection refused",
    "connection aborted",
    "connection was lost",
    "broken pipe",
    "gloo",
    "nccl",
    "socket",
    "remote process exited",
    "tcpstore",
    "timed out waiting",
    "server disconnected",
    "max retries exceeded",
)
NETWORK_TYPES = (
    "DistBackendError",
    "DistNetworkError",
    "DistStoreError",
    "EngineError",
    "ConnectError",
    "RemoteProtocolError",
)


@dataclass(frozen=True)
class Failure:
    """How one process of a run failed.

    Attributes:
        cause: in a sentence, as the run's end is told.
        process: which one: "training process 1", "server".
        exit: its exit code; negative for a signal.
        rank: among the training processes, else None.
        log: the file with more, relative to the run's folder.
        findings: those of a `ConfigError`.
    """

    cause: str
    process: str
    exit: int
    rank: int | None = None
    node: int = 0
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    time: float = field(default_factory=time.time)
    error: str = ""
    trace: str = ""
    log: str = "run.log"
    findings: list[dict[str, Any]] = field(default_factory=list)


def claim(path: Path, failure: Failure) -> bool:
    """Write the record if none is there; whether this failure was the first. A reader never sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{failure.host}.{failure.pid}.{time.monotonic_ns()}")
    with beside.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(dumps(asdict(failure), indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(beside, path)  # fails where there is one, on network file systems too
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    return True


def read(path: Path) -> Failure | None:
    """The record; None where nothing has failed."""
    try:
        return Failure(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def claim_in_turn(path: Path, failure: Failure, error: BaseException) -> bool:
    """`claim`, after a moment's wait for the cause where the error is one of a connection."""
    if of_the_connection(error):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not path.exists():
            time.sleep(0.05)
    return claim(path, failure)


def of_the_connection(error: BaseException | None) -> bool:
    """Whether somebody else's death can explain an error, or what it was raised from."""
    while error is not None:
        names = {kind.__name__ for kind in type(error).__mro__}
        text = str(error).lower()
        if isinstance(error, ConnectionError) or names & set(NETWORK_TYPES):
            return True
        if isinstance(error, RuntimeError | OSError) and any(words in text for words in OF_THE_CONNECTION):
            return True
        error = error.__cause__
    return False


def told(error: BaseException) -> str:
    """The traceback of an error as text."""
    return "".join(traceback.format_exception(error))
