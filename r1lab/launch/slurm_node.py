"""What Slurm starts once on every node of a job, `python -m r1lab.launch.slurm_node FOLDER`: the node's supervisor.

The warning that the time is nearly up, SIGUSR1, reaches every process of the job. It is blocked here, before anything
is started, and stays so in all that is: nobody dies of it, and whoever trains looks between two steps whether it came.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from importlib import import_module

from r1lab.errors import R1labError, ResumeError
from r1lab.launch import INTERRUPTED
from r1lab.launch.supervisor import Node, supervise
from r1lab.runs.folder import QUEUED, RunFolder
from r1lab.slurm.commands import hosts

PATIENCE = 180  # seconds that a lock may outlive the node that held it
PORTS = (15000, 17000)  # the first, and how many, of those where training processes meet: below what systems hand out


def main() -> int:
    """Entry of the process; its exit code is the run's, so that Slurm's state is the truth."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    folder = RunFolder(sys.argv[1])
    cfg = folder.read_config()
    try:
        if cfg.task.get("folder") is False:
            module, _, name = str(cfg.task._target_).rpartition(".")
            getattr(import_module(module), name)(cfg)
            return 0
        node = this_node(os.environ)
        if node.index == 0:
            wait_until_free(folder)
        supervise(folder.path / "run.yaml", node, folder.read_json(QUEUED).get("command", ""))
    except R1labError as error:
        print(f"r1lab: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def this_node(environment: Mapping[str, str]) -> Node:
    """This node among those of the job, as Slurm tells."""
    index, count = int(environment.get("SLURM_PROCID", 0)), int(environment.get("SLURM_STEP_NUM_NODES", 1))
    if count == 1:
        return Node(attempt=attempt(environment))
    names = hosts(environment["SLURM_STEP_NODELIST"])
    first, many = PORTS
    port = first + int(environment["SLURM_JOB_ID"]) % many  # no two jobs that run now share it, but by a rare chance
    return Node(index, count, [address_of(name, names) for name in names], port, attempt(environment))


def attempt(environment: Mapping[str, str]) -> str:
    """A word for this start of the job: a requeued one keeps its number."""
    return f"{environment.get('SLURM_JOB_ID', 'local')}-{environment.get('SLURM_RESTART_COUNT', 0)}"


def address_of(name: str, names: list[str]) -> str:
    """The address by which the others reach a node; a node often knows itself as a loopback address only."""
    found = socket.gethostbyname(name)
    if not found.startswith("127."):
        return found
    other = next(item for item in names if item != name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))  # sends nothing; it makes the kernel choose the way
        return str(probe.getsockname()[0])


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
