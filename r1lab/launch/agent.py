"""The training processes of one node, started and watched by torch.distributed.run: `python -m r1lab.launch.agent …`.

Takes torch.distributed.run's own words. What it adds: the processes die with their supervisor, and a death without a
word is recorded, at once, as the run's first failure. What torch has to say about exit codes is left out.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher import api
from torch.distributed.run import parse_args, run

from r1lab.launch import FAILURE, NODE, STOPPED
from r1lab.processes import PARENT
from r1lab.processes.leash import die_with_parent
from r1lab.runs.failures import Failure, claim, told
from r1lab.wording import killed_by


class Agent(LocalElasticAgent):
    """torch's agent, which looks at how its processes have ended before it stops those that are left."""

    def _monitor_workers(self, worker_group: Any) -> Any:
        for worker in worker_group.workers:
            if worker.id is not None and (code := ended(int(worker.id))):
                tell(int(worker.global_rank), int(worker.id), code)
        return super()._monitor_workers(worker_group)


def main() -> int:
    """Entry of the process; its exit code is that of the first process that failed."""
    die_with_parent()
    os.environ[PARENT] = str(os.getpid())
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    api.LocalElasticAgent = Agent  # type: ignore[misc]
    try:
        run(parse_args(sys.argv[1:]))
    except SignalException:
        return STOPPED
    except ChildFailedError as error:
        rank, first = min(error.failures.items(), key=lambda item: item[1].timestamp)
        tell(rank, first.pid, first.exitcode)  # in case it ended since `Agent` looked
        return int(first.exitcode) % 256
    except Exception as error:  # noqa: BLE001 - the last station: the cause is recorded and the exit code tells
        cause = f"the training processes could not be started: {type(error).__name__}: {error}"
        record(Failure(cause, "agent", 1, node=node(), error=type(error).__name__, trace=told(error)))
        return 1
    return 0


def ended(pid: int) -> int:
    """The exit code of a child that has ended, negative for a signal, and it can be asked again; 0 for any other."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    if found is None:
        return 0
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def tell(rank: int, pid: int, code: int) -> None:
    """Record the end of a process that has not recorded it itself: one that failed by an exception has."""
    if code == STOPPED:  # it was asked to stop, and the run ends in order
        return
    process = f"training process {rank}"
    how = f"was {killed_by(-code)}" if code < 0 else f"ended with exit code {code} and without a word"
    log = f"ranks/{rank}.log" if rank else "run.log"
    record(Failure(f"{process} {how}", process, code, rank, node(), pid, log=log))


def record(failure: Failure) -> None:
    """Record a failure, if it is the run's first."""
    claim(Path(os.environ[FAILURE]), failure)


def node() -> int:
    """This node's number."""
    return int(os.environ.get(NODE, 0))


if __name__ == "__main__":
    sys.exit(main())
