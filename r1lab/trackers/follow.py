"""`python -m r1lab.trackers.follow RUN_FOLDER TRACKER`: the process beside a run that tells one tracker of it.

It reads `metrics.jsonl` as it grows and keeps its place in `trackers.json`, with the tracker's own id of the run. The
file is the queue: what a tracker cannot take now is read again later, and the run never waits. A record is given up
only where the one after it gets through, or at the end.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.config.secrecy import without_secrets
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger
from r1lab.runs.states import FAILED, FINISHED
from r1lab.trackers.base import Run, Sink, numbers
from r1lab.trackers.tail import Tail

log = logging.getLogger("r1lab")
LOOK = 0.5  # seconds between two looks at the stream
FIRST, LONGEST = 2.0, 60.0  # seconds of the pause after a failure, doubled each time
ORPHANED = 10.0  # seconds to end in, once the run's process is gone
COMMON = ("_target_", "wait")  # keys of a tracker that are not its sink's


class Follower:
    """One tracker's place in one run's stream.

    Args:
        folder: the run's.
        name: the tracker's key in the config.
        sink: the tracker.
        cfg: the run's config.
        say: tells the person at the terminal.
    """

    def __init__(self, folder: RunFolder, name: str, sink: Sink, cfg: DictConfig, say: Callable[[str], None] = print):
        self.say = say
        self.folder = folder
        self.name = name
        self.sink = sink
        self.cfg = cfg
        self.ledger = Ledger(folder.path / "trackers.json", anew=True)
        before = self.ledger.read().get(name, {})
        self.id: str | None = before.get("id")
        self.tail = Tail(folder, before.get("step"), before.get("at_step", 0))
        self.missed: int = before.get("missed", 0)
        self.started = self.said = False
        self.pause, self.not_before = FIRST, 0.0

    def begin(self) -> bool:
        """Begin the tracker's run, unless that is done; whether it is."""
        if self.started:
            return True

        def start() -> None:
            self.id = self.sink.start(run_of(self.folder, self.cfg, self.id)) or self.id

        self.started = self.attempt("cannot be reached", start)
        if self.started:
            self.keep()
        return self.started

    def work(self, last: bool = False) -> None:
        """Send what is there and not sent, to the first failure; at the end of the run, `last`, each record once."""
        if (time.monotonic() < self.not_before and not last) or not self.begin():
            return
        while (records := self.tail.ahead(2)) and (last or time.monotonic() >= self.not_before):
            if self.send(records[0]):
                self.took(1)
            elif len(records) > 1 and self.send(records[1]):
                self.missed += 1  # the first was the fault, not the tracker
                self.took(2)
            else:
                return

    def send(self, record: dict[str, Any]) -> bool:
        """Send one record; whether it got there."""
        step = record["step"]
        return self.attempt(f"refuses the record of step {step}", lambda: self.sink.log(step, numbers(record)))

    def took(self, count: int) -> None:
        """Step behind some records."""
        self.tail.skip(count)
        self.pause = FIRST
        self.keep()

    def attempt(self, what: str, call: Callable[[], None]) -> bool:
        """Do something with the tracker; whether it went well. A tracker may raise anything."""
        try:
            call()
        except Exception as error:
            log.exception("tracker %s %s", self.name, what)
            self.trouble(what, error)
            return False
        return True

    def trouble(self, what: str, error: Exception) -> None:
        """Say what is wrong, once in the run, and wait a while."""
        said = str(without_secrets(f"{type(error).__name__}: {error}".splitlines()[0][:300]))
        if not self.said:
            self.say(f"tracker {self.name} {what} ({said}); the run goes on")
        self.said = True
        self.not_before = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, LONGEST)
        self.keep(trouble=f"{what}: {said}")

    def keep(self, **facts: Any) -> None:
        """Write the place in the stream down."""
        with self.ledger.changing() as content:
            entry = content.setdefault(self.name, {})
            entry.update(id=self.id, step=self.tail.step, at_step=self.tail.at_step)
            entry.update(records=self.tail.records, missed=self.missed, **facts)

    def end(self, status: str) -> None:
        """Send the rest, and how the run ended."""
        self.work(last=True)
        if not self.started:
            return
        finished = status == FINISHED
        metrics = without_secrets(self.folder.read_json("metrics.json")) if finished else {}
        with tempfile.TemporaryDirectory() as scratch:
            page = page_of(self.folder, Path(scratch)) if finished else None
            if self.attempt("cannot be told how the run ended", lambda: self.sink.finish(metrics, status, page)):
                self.keep(status=status)


def page_of(folder: RunFolder, scratch: Path) -> Path | None:
    """The run's report as it may be sent, in another folder; None where there is none."""
    page = folder.path / "report.html"
    if not page.is_file():
        return None
    copy = scratch / page.name
    copy.write_text(without_secrets(page.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
    return copy


def run_of(folder: RunFolder, cfg: DictConfig, run_id: str | None) -> Run:
    """The run as a tracker sees it."""
    path = folder.path.resolve()
    config = flat(without_secrets(OmegaConf.to_container(cfg, resolve=True)))
    manifest = without_secrets(folder.read_json("manifest.json"))
    return Run(f"{path.parent.name}/{path.name}", config, manifest, path, Path(cfg.outputs).resolve(), run_id)


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a nested mapping by dotted key; an empty mapping has none."""
    if not isinstance(node, dict):
        return {prefix: node}
    return {
        key: value
        for name, item in node.items()
        for key, value in flat(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def sink_of(settings: DictConfig) -> Sink:
    """The sink that a tracker's node describes."""
    module, _, name = str(settings._target_).rpartition(".")
    values: Any = OmegaConf.to_container(settings, resolve=True)
    made: Sink = getattr(import_module(module), name)(**{key: values[key] for key in values if key not in COMMON})
    return made


def to_terminal(log_file: Path) -> Callable[[str], None]:
    """Send what the tracker's library prints to the log; what says a line on the terminal all the same."""
    terminal = os.fdopen(os.dup(2), "w")
    with log_file.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return lambda line: print(f"r1lab: {line}", file=terminal, flush=True)


def main() -> int:
    """Entry of the process; 0 where the tracker knows the whole run."""
    os.nice(5)
    folder, name = RunFolder(sys.argv[1]), sys.argv[2]
    say = to_terminal(folder.path / "run.log")
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        level=logging.WARNING,
        handlers=[logging.FileHandler(folder.path / "run.log", encoding="utf-8", errors="backslashreplace")],
    )
    cfg = folder.read_config()
    try:
        sink = sink_of(cfg.tracker[name])
    except Exception as error:  # the boundary of the process: its end must not be silent
        log.exception("tracker %s cannot be made", name)
        say(f"tracker {name} cannot be made ({error}); the run goes on")
        return 1
    follower = Follower(folder, name, sink, cfg, say)
    while True:
        follower.work()
        ready, _, _ = select.select([sys.stdin], [], [], LOOK)
        if ready:
            status = sys.stdin.readline().strip()
            if not status:  # the run's process is gone
                timer = threading.Timer(ORPHANED, os._exit, (1,))
                timer.daemon = True
                timer.start()
            follower.end(status or FAILED)
            return 0 if follower.tail.ahead(1) == [] else 1


if __name__ == "__main__":
    sys.exit(main())
