"""A server of completions that the run starts, watches and ends itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from r1lab.errors import EngineError
from r1lab.wording import display

LOOK = 0.2  # seconds between two looks at a server that starts
SHOWN = 8  # lines of its log in a message
END = 20.0  # seconds that it has to end in order
GUARD = """
import ctypes, os, signal, sys
if sys.platform == "linux":  # have the kernel end the program with this one's parent, however that dies
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StartedServer:
    """A program that serves OpenAI's chat API, as a child process that ends with this one.

    Args:
        command: starts it.
        port: where it listens, on this machine.
        log: the file for what it prints.
        start_timeout: seconds until it must answer.
        environment: beside this process's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        log: Path,
        start_timeout: float = 1800.0,
        environment: Mapping[str, str] | None = None,
    ):
        self.command, self.port, self.log, self.start_timeout = list(command), port, log, start_timeout
        self.environment = dict(environment or {})
        self.root = f"http://127.0.0.1:{port}"
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"{self.root}/v1"

    def start(self) -> None:
        """Start it; it is not ready yet.

        Raises:
            EngineError: there is no such program.
        """
        if not shutil.which(self.command[0]):
            raise EngineError(f"{self.command[0]} cannot be started: there is no such program")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-c", GUARD, str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                process_group=0,
            )

    def wait_until_ready(self) -> None:
        """Wait until it answers.

        Raises:
            EngineError: it died, or took too long; with the end of its log.
        """
        gives_up = time.monotonic() + self.start_timeout
        while not self._answers():
            if cause := self.gone():
                raise EngineError(cause)
            if time.monotonic() > gives_up:
                raise EngineError(
                    f"the server did not answer within {self.start_timeout:.0f} s\n{self._said()}\n"
                    "    fix      engine.start_timeout=SECONDS, if it was still loading"
                )
            time.sleep(LOOK)

    def gone(self) -> str:
        """Why there is no server any more; "" while it runs."""
        code = self.child.poll() if self.child else 0
        if self.child is None or code is None:
            return ""
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        name = Path(self.command[0]).name
        return f"the server that was started ({name}, process {self.child.pid}) {how}\n{self._said()}"

    def stop(self) -> None:
        """End it and everything that it started."""
        child, self.child = self.child, None
        if child is None:
            return
        for number, patience in ((signal.SIGTERM, END), (signal.SIGKILL, END)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience)
        # its own children may have outlived it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def __enter__(self) -> StartedServer:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.root}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _said(self) -> str:
        """The end of its log, where programs say what went wrong."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.is_file() else []
        told = [line for line in lines if line.strip()][-SHOWN:]
        return "\n".join([*(f"    {line[:200]}" for line in told), f"    log      {display(self.log)}"])
