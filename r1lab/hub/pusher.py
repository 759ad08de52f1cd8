"""`python -m r1lab.hub.pusher RUN_FOLDER`: the process beside a run that pushes what `hub.json` says is to be pushed.

It looks for new entries each second. A line on standard input says that the run has ended: what is left is tried once
more, and the process ends with 0 where everything is pushed, else 1. When the input ends without a line, the run's
process is gone, and this one goes at once.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from r1lab.errors import R1labError
from r1lab.hub.pending import open_pushes, push_open
from r1lab.runs.folder import RunFolder

log = logging.getLogger("r1lab")
LOOK = 1.0  # seconds between two looks
PAUSE = 60.0  # seconds after a failure, unless something new is to be pushed


def main() -> int:
    """Entry of the process."""
    os.nice(5)
    folder = RunFolder(sys.argv[1])
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        level=logging.INFO,
        handlers=[logging.FileHandler(folder.path / "run.log", encoding="utf-8", errors="backslashreplace")],
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ended = threading.Event()
    threading.Thread(target=listen, args=(ended,), daemon=True).start()
    try:
        return 0 if work(folder, ended) else 1
    except Exception:  # the boundary of the process: its end must not be silent
        log.exception("the pusher failed")
        return 1


def listen(ended: threading.Event) -> None:
    """Wait for the run's end."""
    if not sys.stdin.readline():
        os._exit(1)
    ended.set()


def work(folder: RunFolder, ended: threading.Event) -> bool:
    """Push what is there, and what comes, until the run has ended; whether nothing is left."""
    cfg = folder.read_config()
    next_try, tried = 0.0, 0
    while True:
        last = ended.wait(LOOK)
        count = len(open_pushes(folder))
        if count and (last or count > tried or time.monotonic() >= next_try):
            try:
                done = push_open(folder, cfg, cfg.hub, lambda text: log.info("%s", text))
            except R1labError as error:
                log.error("%s", error)
                done = False
            next_try, tried = time.monotonic() + PAUSE, 0 if done else count
        if last:
            return not open_pushes(folder)


if __name__ == "__main__":
    sys.exit(main())
