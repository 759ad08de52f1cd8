"""Starting a process, and ending it in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from r1lab.processes import OWNER, PARENT
from r1lab.wording import killed_by

KEEPER = Path(__file__).with_name("keeper.py")
ASIDE = {signal.SIGUSR1, signal.SIGUSR2}  # a scheduler's warnings, which reach every process: not for these
LAST_LINES = 20


@contextmanager
def warnings_aside() -> Iterator[None]:
    """Start what is started meanwhile deaf to a scheduler's warnings, whose default is to kill."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASIDE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Child:
    """A process that dies with this one.

    In a group of its own, a terminal's Ctrl-C reaches it once, passed on, and not a second time directly.

    Args:
        name: as messages call it.
        command: its words.
        env: its environment.
    """

    grace = 5.0

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]):
        self.name = name
        with warnings_aside():
            self.process = subprocess.Popen(command, env={**env, PARENT: str(os.getpid())}, process_group=0)

    @property
    def pid(self) -> int:
        """Its process id; a server's is its keeper's."""
        return self.process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait for the end, at most for so long; the exit code, or None."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        self.process.send_signal(number)

    def end(self) -> int:
        """End it in order, then by force; its exit code."""
        if self.code is None:
            self.signal(signal.SIGTERM)
            if self.wait(self.grace) is None:
                self.signal(signal.SIGKILL)
        return self.process.wait()


class Server(Child):
    """A server with everything that it starts, under a keeper; what it says goes to a file.

    Args:
        log: that file.
        grace: seconds that it has to end in order.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path, grace: float = Child.grace
    ):
        self.name, self.log, self.grace = name, log, grace
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        log.parent.mkdir(parents=True, exist_ok=True)
        keeper = [sys.executable, "-S", str(KEEPER), str(os.getpid()), str(self.grace)]
        with warnings_aside(), log.open("ab") as output:
            self.process = subprocess.Popen(
                [*keeper, *command],
                env={**env, OWNER: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def end(self) -> int:
        """End it in order, then by force; nothing of it is left, even if its keeper was killed."""
        if self.code is None:
            self.signal(signal.SIGTERM)
            self.wait(self.grace + 2.0)
        if self.code is None:
            self.signal(signal.SIGKILL)
        code = self.process.wait()
        for pid in owned(self.mark):
            os.kill(pid, signal.SIGKILL)
        return code

    def ended(self) -> str:
        """How it ended, in words with its name; "" while it runs."""
        if (code := self.code) is None:
            return ""
        return f"{self.name} was {killed_by(-code)}" if code < 0 else f"{self.name} ended with exit code {code}"

    def last_lines(self) -> str:
        """The end of what it said, indented for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-LAST_LINES:]
        return "\n".join(f"    │ {line}" for line in lines)


def owned(mark: str) -> list[int]:
    """Processes whose environment has a server's mark."""
    found, wanted = [], f"{OWNER}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # another user's, or ended meanwhile
            continue
    return found
