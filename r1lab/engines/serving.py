"""A server of completions that the run starts, watches and ends itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from r1lab.errors import EngineError
from r1lab.processes.children import Server
from r1lab.processes.health import wait_until_healthy
from r1lab.terminal import lengthy
from r1lab.wording import display

END = 20.0  # seconds that it has to end in order


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
        self.child: Server | None = None

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"{self.root}/v1"

    def start(self) -> None:
        """Start it; it is not ready yet.

        Raises:
            EngineError: there is no such program.
        """
        program = self.command[0]
        if not shutil.which(program):
            raise EngineError(f"{program} cannot be started: there is no such program")
        name = f"the server that was started ({Path(program).name})"
        self.child = Server(name, self.command, {**os.environ, **self.environment}, self.log, END)

    def wait_until_ready(self) -> None:
        """Wait until it answers.

        Raises:
            EngineError: it died, or took too long; with the end of its log.
        """

        def look() -> None:
            if cause := self.gone():
                raise EngineError(cause)

        with lengthy(f"waiting for {Path(self.command[0]).name} to answer; its log is {display(self.log)}"):
            answers = wait_until_healthy(lambda: self.root, self.start_timeout, look)
        if not answers:
            raise EngineError(
                f"the server did not answer within {self.start_timeout:.0f} s\n{self._said()}\n"
                "    fix      engine.start_timeout=SECONDS, if it was still loading"
            )

    def gone(self) -> str:
        """Why there is no server any more; "" while it runs."""
        how = self.child.ended() if self.child else ""
        return f"{how}\n{self._said()}" if how else ""

    def stop(self) -> None:
        """End it and everything that it started."""
        child, self.child = self.child, None
        if child is not None:
            child.end()

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

    def _said(self) -> str:
        """The end of its log, where programs say what went wrong."""
        said = self.child.last_lines() if self.child else ""
        return f"{said}\n    log      {display(self.log)}"
