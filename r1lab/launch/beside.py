"""Processes that stand beside a run and send what it writes elsewhere: followers of trackers, the pusher to the Hub.

They read the run's folder and never touch the run: one that hangs, dies or is slow costs the training nothing, not even
the interpreter's lock. A line on their standard input tells how the run ended; its end without a line, that the run's
process is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import Requeue
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger
from r1lab.runs.states import FAILED, FINISHED, INTERRUPTED
from r1lab.wording import plural

log = logging.getLogger("r1lab")
HASTE = 10.0  # seconds that a failed or interrupted run waits for them at most
WAIT = 30.0  # seconds that a finished run waits for a tracker whose file does not say


class Beside:
    """One process beside the run.

    Args:
        module: what `python -m` runs.
        arguments: its words.
        wait: seconds that the end of a finished run waits for it at most.
    """

    def __init__(self, module: str, arguments: Sequence[str | Path], wait: float):
        self.wait = wait
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self.child = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0
        )

    def tell(self, status: str) -> None:
        """Tell how the run ended."""
        assert self.child.stdin is not None
        with suppress(OSError):  # it has ended already; `end` sees that
            self.child.stdin.write(f"{status}\n".encode())
            self.child.stdin.close()

    def end(self, until: float) -> None:
        """Wait for the process until a time of `time.monotonic`, then kill it and what it started."""
        try:
            self.child.wait(max(until - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the process and what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


@contextmanager
def beside(cfg: DictConfig, folder: RunFolder) -> Iterator[None]:
    """The processes beside a run, for as long as it lasts and, after it, for a bounded time.

    Raises:
        ConfigError: the run may not push where it means to; nothing is computed yet.
    """
    pushes = bool(cfg.get("hub")) and cfg.hub.name != "none"
    if pushes:
        from r1lab.hub.before import check_hub  # the Hub's client: only for runs that push

        check_hub(cfg, folder)
    trackers = cfg.get("tracker") or {}
    followers = {
        str(name): Beside("r1lab.trackers.follow", [folder.path, str(name)], item.get("wait", WAIT))
        for name, item in trackers.items()
    }
    pusher = Beside("r1lab.hub.pusher", [folder.path], cfg.hub.wait) if pushes else None
    try:
        yield
    except BaseException as error:
        status = INTERRUPTED if isinstance(error, KeyboardInterrupt | Requeue) else FAILED
        leave(status, folder, followers, pusher)
        raise
    if pushes:
        from r1lab.hub.pending import expect, kind_of

        expect(folder, cfg.hub.revision, kind_of(cfg), kind=kind_of(cfg))  # each stands in a folder of its name
    leave(FINISHED, folder, followers, pusher)


def leave(status: str, folder: RunFolder, followers: dict[str, Beside], pusher: Beside | None) -> None:
    """Let the processes end, each within its time, and say what they could not send; an interrupt cuts it short."""
    everybody = [*followers.values(), *([pusher] if pusher else [])]
    began = time.monotonic()
    for item in everybody:
        item.tell(status)
    try:
        for item in everybody:
            item.end(began + (item.wait if status == FINISHED else min(item.wait, HASTE)))
    except KeyboardInterrupt:
        for item in everybody:
            item.kill()
    try:
        say_what_is_missing(folder, followers, pusher is not None)
    except Exception:  # how a run ended is not changed by what came after it
        log.exception("what was sent of the run is not known")


def say_what_is_missing(folder: RunFolder, followers: Iterable[str], pushes: bool) -> None:
    """Tell what trackers and the Hub did not get."""
    for name in followers:
        if missing := missed(folder, name):
            say(f"tracker {name} did not get {plural(missing, 'record')}; {folder.path}/metrics.jsonl has them all")
    if pushes:
        from r1lab.hub.pending import pushed, summary

        for line in pushed(folder) + summary(folder):
            say(line)


def missed(folder: RunFolder, name: str) -> int:
    """Records of the stream that a tracker did not get."""
    state = Ledger(folder.path / "trackers.json", anew=True).read().get(name, {})
    return sum(1 for _ in folder.records("metrics.jsonl")) - state.get("records", 0) + state.get("missed", 0)


def say(line: str) -> None:
    """Tell the person at the terminal, and the log."""
    log.warning("%s", line)
    print(f"r1lab: {line}" if not line.startswith(" ") else line, file=sys.stderr, flush=True)
