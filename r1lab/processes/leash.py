"""The leash that ties a process to the one that started it: when that dies, however it dies, so does this (Linux)."""

from __future__ import annotations

import ctypes
import inspect
import os
import signal
import sys
from collections.abc import Sequence

from r1lab.processes import PARENT
from r1lab.processes.keeper import PR_SET_PDEATHSIG


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that its environment names dies, if it names one."""
    if parent := os.environ.pop(PARENT, None):
        die_with(int(parent))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; one that is dead already is noticed here.

    Args:
        parent: its process id, known from before it can have died.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def leashed(command: Sequence[str]) -> list[str]:
    """The command that runs another one on a leash of this process, whatever its environment holds."""
    script = (
        f"import ctypes, os, signal, sys\nPR_SET_PDEATHSIG = {PR_SET_PDEATHSIG}\n{inspect.getsource(die_with)}"
        "die_with(int(sys.argv[1]))\nos.execvp(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", script, str(os.getpid()), *command]
