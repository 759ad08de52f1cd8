"""Which node of a job this is, and how the others reach it, as Slurm tells."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from r1lab.launch.supervisor import Node
from r1lab.slurm.commands import hosts

PORTS = (15000, 17000)  # the first, and how many, of those where training processes meet: below what systems hand out


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
