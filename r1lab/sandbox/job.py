"""One program to run in a box, what it carries in, and how it ended."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from r1lab.sandbox.base import Limits
from r1lab.sandbox.container import PATHS

SELF_PROCESSES = 4  # bubblewrap's own, the spawner, and the first process of a program's world
ANY_STACK = -1
NO_CORE = 1  # byte: with 0 a machine's own handler of core dumps would still be started (core(5))
USER_COUNTS = (5, 14)  # the first Linux that counts processes for each user namespace by itself
ENVIRONMENT = {
    "PATH": PATHS,
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "USER": "sandbox",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Job:
    """One program to run.

    Args:
        argv: the command, found on the box's PATH; None: main.py, in a fork of the box's interpreter.
        files: name → content, in the program's working folder.
        stdin: its input, or an open file.
        stdout: an open file for its output; None: it is kept, up to the limit.
        extra: open files that it gets as 3, 4, …
        args: of main.py, where `argv` is None.
        collect: names of files to bring back.
        stack: whether its stack may grow without a limit of its own.
    """

    argv: Sequence[str] | None
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes | int = b""
    stdout: int | None = None
    extra: Sequence[int] = ()
    args: Sequence[str] = ()
    collect: Sequence[str] = ()
    stack: bool = False


@dataclass(frozen=True)
class Execution:
    """How a program ended.

    Args:
        code: its exit status; None where a signal ended it or it never ran.
        signal: the name of the signal that ended it.
        cause: the limit it met ("time", "wall time", "memory", "processes", "output", "file size"), or "".
        failure: what went wrong in the box itself, or "".
        seconds, wall_seconds: processor and real time.
        memory: bytes at the peak.
        collected: name → content of the files asked for, where the program made them.
    """

    code: int | None = None
    signal: str | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    cause: str = ""
    failure: str = ""
    seconds: float = 0.0
    wall_seconds: float = 0.0
    memory: int = 0
    collected: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether it ended by itself with status 0 within its limits."""
        return self.code == 0 and not self.cause and not self.failure


def bundle(job: Job, limits: Limits, root: bool) -> bytes:
    """A job as the first process of the program's world reads it: length, JSON, and the files behind it.

    Args:
        job: what to run.
        limits: what one of its processes may use.
        root: whether the program gets a user id that is its box's alone, so that the count of it is the tree's.
    """
    rlimits = {
        "RLIMIT_CPU": math.ceil(limits.seconds) + 1,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": NO_CORE,
    }
    if job.stack:
        rlimits["RLIMIT_STACK"] = ANY_STACK
    if root:
        rlimits["RLIMIT_NPROC"] = limits.processes
    elif tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2]) >= USER_COUNTS:
        rlimits["RLIMIT_NPROC"] = limits.processes + SELF_PROCESSES
    words = {
        "argv": list(job.argv) if job.argv else None,
        "args": list(job.args),
        "env": ENVIRONMENT,
        "files": {name: len(content) for name, content in job.files.items()},
        "collect": list(job.collect),
        "extra": len(job.extra),
        "rlimits": rlimits,
    }
    told = json.dumps(words).encode()
    return b"".join([len(told).to_bytes(8, "little"), told, *job.files.values()])
