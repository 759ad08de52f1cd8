"""What a cluster has, as Slurm tells on a login node: partitions, accounts, how large an array may be."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from functools import cache

from r1lab.errors import SlurmError
from r1lab.slurm.commands import call

TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
GPUS = re.compile(r"gpu(?::[\w.-]+)*?:(\d+)")


@dataclass(frozen=True)
class Partition:
    """One partition.

    Attributes:
        nodes: how many it has.
        gpus: the most of one node.
        cpus: likewise, cores as Slurm counts them.
        seconds: the longest job; None for no limit.
        up: whether it takes jobs.
        default: whether it is used where none is named.
    """

    name: str
    nodes: int
    gpus: int
    cpus: int
    seconds: int | None
    up: bool
    default: bool


def seconds_of(written: str | int) -> int | None:
    """Seconds of a time limit as Slurm writes it: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes
    [:seconds]]; None where it is none of them."""
    match = TIME.fullmatch(str(written).strip())
    if not match:
        return None
    days, first, second, third = (int(part) if part else 0 for part in match.groups())
    if match[1]:
        return ((days * 24 + first) * 60 + second) * 60 + third
    if match[4]:
        return (first * 60 + second) * 60 + third
    return first * 60 + second


@cache
def partitions() -> dict[str, Partition]:
    """The cluster's partitions by name.

    Raises:
        SlurmError: Slurm does not answer.
    """
    found: dict[str, Partition] = {}
    for line in call("sinfo", "--noheader", "--format=%P|%D|%G|%c|%l|%a").splitlines():
        name, nodes, gres, cpus, limit, up = line.split("|")
        default, name = name.endswith("*"), name.rstrip("*")
        gpus = sum(map(int, GPUS.findall(gres)))
        before = found.get(name, Partition(name, 0, 0, 0, None, True, default))
        most = max(before.cpus, int(cpus.rstrip("+")))
        found[name] = Partition(
            name, before.nodes + int(nodes), max(before.gpus, gpus), most, seconds_of(limit), up == "up", default
        )
    return found


@cache
def largest_array() -> int | None:
    """The number that indices of a job array stay below; None where Slurm does not say."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE)
    return int(match[1]) if match else None


@cache
def accounts() -> tuple[frozenset[str], frozenset[str]]:
    """The accounts and qualities of service that one may use; empty where the cluster keeps no accounts."""
    words = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={getpass.getuser()}"]
    try:
        rows = [line.split("|") for line in call(*words, "format=account,qos").splitlines() if "|" in line]
    except SlurmError:  # no accounting: nothing to hold a name against
        return frozenset(), frozenset()
    return frozenset(row[0] for row in rows if row[0]), frozenset(q for row in rows for q in row[1].split(",") if q)
