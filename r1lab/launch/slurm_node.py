"""What Slurm starts once on every node of a job, `python -m r1lab.launch.slurm_node FOLDER`: the node's supervisor.

The warning that the time is nearly up, SIGUSR1, reaches every process of the job. It is blocked here, before anything
is started, and stays so in all that is: nobody dies of it, and whoever trains looks between two steps whether it came.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module

from r1lab.errors import R1labError, ResumeError
from r1lab.launch import FOLDER, STOPPED
from r1lab.launch.place import attempt, this_node
from r1lab.launch.supervisor import LOST, supervise
from r1lab.runs import failures
from r1lab.runs.folder import AGAIN, LOCK, STARTER, TYPED, RunFolder
from r1lab.runs.states import finished_since_queued

PATIENCE = 180  # seconds that a lock may outlive the node that held it


def main() -> int:
    """Entry of the process; its exit code is the run's, so that Slurm's state is the truth."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    folder = RunFolder(sys.argv[1])
    cfg = folder.read_config()
    try:
        if cfg.task.get("folder") is False:
            os.environ[FOLDER] = str(folder.path)
            module, _, name = str(cfg.task._target_).rpartition(".")
            getattr(import_module(module), name)(cfg)
            return 0
        node = this_node(os.environ)
        with ExitStack() as held:
            if node.index == 0:
                held.enter_context(once_free(folder, STARTER))
                with once_free(folder, LOCK):
                    pass
            if finished_since_queued(
                folder
            ):  # it was queued twice, or requeued when nothing but its page was left to do
                print(f"r1lab: {folder.path} has finished: there is nothing to do", flush=True)
                return 0
            supervise(folder.path / "run.yaml", node, folder.read_json(TYPED).get("command", ""))
    except R1labError as error:
        print(f"r1lab: {error}", file=sys.stderr, flush=True)
        first = failures.read(folder.path / "failures" / f"{attempt(os.environ)}.json")
        if first and first.process == LOST and cfg.cluster.requeue:
            (folder.path / AGAIN).touch()  # no failure of the run's: it goes on when the queue has other nodes for it
        return error.exit_code
    except KeyboardInterrupt:
        return STOPPED
    return 0


@contextmanager
def once_free(folder: RunFolder, name: str) -> Iterator[None]:
    """Hold a lock that a lost node may still have: a file server lets go of it after a minute or two.

    Raises:
        ResumeError: another process is running in the folder.
    """
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(folder.locked(name))
                break
            except ResumeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)
        yield


if __name__ == "__main__":
    sys.exit(main())
