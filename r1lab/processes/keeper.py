"""Starts one program and leaves none of its processes behind: `python -S keeper.py PARENT GRACE PROGRAM ARGUMENT…`.

For servers, which start processes of their own that outlive them. It ends the program in order, and after GRACE seconds
by force, when it is asked to, when the program's first process ends, and when PARENT, which started it, dies. Its exit
is the program's own. Run by path, so that it imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Entry of the process."""
    parent, grace, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    libc = ctypes.CDLL(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # what the program leaves behind becomes a child of this process
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)

    def begin() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        child = subprocess.Popen(command, start_new_session=True, preexec_fn=begin)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)
    status = None
    while status is None:
        if signal.sigwait(HEARD) != signal.SIGCHLD:
            break
        status = reaped(child.pid)
    status = end_all(child.pid, grace, status)
    code = os.waitstatus_to_exitcode(status) if status is not None else 1
    if code < 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def reaped(pid: int, status: int | None = None) -> int | None:
    """Reap whatever has ended; the status of `pid` where it is among that, else the one that is known."""
    while True:
        try:
            ended, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if ended == 0:
            return status
        status = found if ended == pid else status


def end_all(pid: int, grace: float, status: int | None) -> int | None:
    """End every process below this one, first in order; the status of the program's first process."""
    until = time.monotonic() + grace
    for each in below(os.getpid()):
        send(each, signal.SIGTERM)
    while below(os.getpid()):
        if time.monotonic() > until:
            for each in below(os.getpid()):
                send(each, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)
        status = reaped(pid, status)
    return status


def below(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:  # it has ended meanwhile
            continue
        for child in map(int, children):
            found += [child, *below(child)]
    return found


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
