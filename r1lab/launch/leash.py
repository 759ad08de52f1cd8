"""The leash that ties a process to the one that started it: when that dies, however it dies, so does this (Linux)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from r1lab.launch import PARENT

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; one that is dead already is noticed here."""
    parent = os.environ.pop(PARENT, None)
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            os._exit(1)
