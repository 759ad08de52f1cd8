"""lighteval's process: started in its own environment, behind a wall, and spoken to line by line."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from r1lab.errors import RunError, SandboxError
from r1lab.processes.leash import leashed
from r1lab.sandbox.container import ADVICE, homes
from r1lab.terminal import lengthy
from r1lab.wording import display

log = logging.getLogger("r1lab")
WORKER = Path(__file__).with_name("lighteval_worker.py")
STOP = 20.0  # seconds that it has to end in order
SHOWN = 12  # lines of its log in a message
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Lighteval:
    """lighteval, ready for the tasks of one run.

    It gets nothing of this process's environment, so no key: completions come from here. Where bubblewrap starts, it
    has no network, can write nothing but its folder and sees no home.

    Args:
        python: of its environment.
        folder: for its rows, results, details and log.
        work: the tasks; see the worker.
        programs: whether it runs the programs of completions, which it may only behind that wall.

    Raises:
        SandboxError: it may not without bubblewrap, and that does not start.
    """

    def __init__(self, python: Path, folder: Path, work: Mapping[str, Any], programs: bool = False):
        self.folder = folder.absolute()
        self.log = self.folder / "lighteval.log"
        self.folder.mkdir(parents=True, exist_ok=True)
        tasks = self.folder / "tasks.json"
        tasks.write_text(json.dumps(work), encoding="utf-8")
        before = wall(python, self.folder, programs)
        ours, theirs = os.pipe(), os.pipe()  # (read, write): what is told to it, and what it tells
        inside = [str(python), "-P", str(WORKER), str(tasks), str(ours[0]), str(theirs[1])]
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                leashed([*before, *inside]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[ours[0], theirs[1]],
                cwd=self.folder,
                env=environment(self.folder),
                process_group=0,
            )
        os.close(ours[0])
        os.close(theirs[1])
        self.sink, self.source = os.fdopen(ours[1], "w", encoding="utf-8"), os.fdopen(theirs[0], encoding="utf-8")

    def __enter__(self) -> Lighteval:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hear(self, what: str, name: str) -> dict[str, Any]:
        """The next line, which tells `what` ("asked" or "scored") of the task `name`.

        Raises:
            RunError: the process ended instead; with the end of its log.
        """
        with lengthy(f"waiting until lighteval has {what} {name}; its log is {display(self.log)}"):
            line = self.source.readline()
        if not line:
            raise RunError(f"lighteval ended before it had {what} {name}\n{self._said()}")
        message: dict[str, Any] = json.loads(line)
        if message.get(what) != name:
            raise RunError(f"lighteval tells of {message.get(what) or list(message)} where {name} is due")
        return message

    def tell(self, message: Mapping[str, Any]) -> None:
        """A line to it; one that it does not live to read is noticed by the next `hear`."""
        try:
            self.sink.write(json.dumps(message) + "\n")
            self.sink.flush()
        except BrokenPipeError:
            return

    def close(self) -> None:
        """End it, and whatever it started."""
        for stream in (self.sink, self.source):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        try:
            self.child.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()

    def _said(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if line.strip()][-SHOWN:]
        return "\n".join([*(f"    {line[:200]}" for line in told), f"    log      {display(self.log)}"])


def environment(folder: Path) -> dict[str, str]:
    """What the process finds in its environment: caches in its folder, and nothing secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
    scratch = str(folder / "scratch")
    return {**kept, **QUIET, "HOME": scratch, "HF_HOME": scratch, "TMPDIR": "/tmp"}


def wall(python: Path, folder: Path, programs: bool) -> list[str]:
    """What stands before a command to keep it from network, homes and files but its folder; nothing without bubblewrap.

    Prompts and answers are only texts, for which that is good enough; programs are refused then.
    """
    words = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    words += ["--cap-drop", "ALL", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for home in ("/root", "/home"):
        words += ["--tmpfs", home] if Path(home).is_dir() else []
    for shown in [*homes(python), WORKER.parent]:
        words += ["--ro-bind", str(shown), str(shown)]
    words += ["--bind", str(folder), str(folder), "--chdir", str(folder), "--"]
    try:
        subprocess.run([*words, "true"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = str(getattr(error, "stderr", "") or error).strip()
        if programs:
            raise SandboxError(
                f"lighteval runs programs only inside bubblewrap, which does not start: {why}\n{ADVICE}"
            ) from error
        log.warning("lighteval runs without bubblewrap, which does not start: %s", why)
        return []
    return words
