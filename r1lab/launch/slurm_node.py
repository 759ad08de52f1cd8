"""What Slurm starts on every node of a job, `python -m r1lab.launch.slurm_node FOLDER`: the run, from its folder.

The warning that the time is nearly up, SIGUSR1, reaches every process of the job. It is blocked here, before anything
is started, and stays so in all that is: nobody dies of it, and whoever trains looks between two steps whether it came.
"""

from __future__ import annotations

import signal
import sys
import time
from importlib import import_module

from r1lab.errors import R1labError, Requeue, ResumeError
from r1lab.launch.local import launch
from r1lab.launch.slurm import QUEUED
from r1lab.runs.folder import RunFolder

PATIENCE = 180  # seconds


def main() -> int:
    """Entry of the process; its exit code is the run's, so that Slurm's state is the truth."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    folder = RunFolder(sys.argv[1])
    cfg = folder.read_config()
    try:
        wait_until_free(folder)
        if cfg.task.get("folder") is False:
            module, _, name = str(cfg.task._target_).rpartition(".")
            getattr(import_module(module), name)(cfg)
        else:
            launch(cfg, folder.path, folder.read_json(QUEUED).get("command"))
    except Requeue as error:
        print(f"r1lab: {error}", flush=True)
        return error.exit_code
    except R1labError as error:
        print(f"r1lab: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def wait_until_free(folder: RunFolder) -> None:
    """Wait for a lock that a lost node still holds: a file server lets go of it after a minute or two.

    Raises:
        ResumeError: another process is running in the folder.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with folder.locked():
                return
        except ResumeError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
