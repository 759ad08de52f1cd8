"""The training processes of one node, started and watched by torch.distributed.run: `python -m r1lab.launch.agent …`.

Takes torch.distributed.run's own words. What it adds: the processes die with their supervisor, what killed one by a
signal is recorded as the run's first failure, and what torch has to say about exit codes is left out.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from r1lab.launch import FAILURE, INTERRUPTED, NODE, PARENT
from r1lab.launch.leash import die_with_parent
from r1lab.runs.failures import PATIENCE, Failure, claim, told
from r1lab.wording import killed_by


def main() -> int:
    """Entry of the process; its exit code is that of the first process that failed."""
    die_with_parent()
    os.environ[PARENT] = str(os.getpid())
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    record, node = Path(os.environ[FAILURE]), int(os.environ.get(NODE, 0))
    try:
        run(parse_args(sys.argv[1:]))
    except SignalException:
        return INTERRUPTED
    except ChildFailedError as error:
        return tell(error, record, node)
    except Exception as error:  # noqa: BLE001 - the last station: the cause is recorded and the exit code tells
        cause = f"the training processes could not be started: {type(error).__name__}: {error}"
        claim(record, Failure(cause, "agent", 1, node=node, error=type(error).__name__, trace=told(error)))
        return 1
    return 0


def tell(error: ChildFailedError, record: Path, node: int) -> int:
    """Record a death by a signal, or an end without a word; the exit code of the first process that failed."""
    failed = sorted(error.failures.items(), key=lambda item: (item[1].exitcode >= 0, item[1].timestamp))
    rank, first = failed[0]
    process = f"training process {rank}"
    log = f"ranks/{rank}.log" if rank else "run.log"
    if first.exitcode < 0:
        cause = f"{process} was {killed_by(-first.exitcode)}"
        claim(record, Failure(cause, process, first.exitcode, rank, node, first.pid, log=log))
        return first.exitcode % 256
    until = time.monotonic() + PATIENCE  # a process that failed by an exception has written, or another one has
    while time.monotonic() < until and not record.exists():
        time.sleep(0.05)
    cause = f"{process} ended with exit code {first.exitcode} and without a word"
    claim(record, Failure(cause, process, first.exitcode, rank, node, first.pid, log=log))
    return int(first.exitcode)


if __name__ == "__main__":
    sys.exit(main())
