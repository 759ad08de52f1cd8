"""Which sandbox servers there are, and which of them a training process uses.

Workers are Slurm jobs named `piston-worker-PORT`: `task=sandbox_server` renames its own job so, and Open-R1's launcher
submits Piston's under such names. Every job of that name that one may see counts, whoever's it is.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from r1lab.errors import ConfigError, Finding

WORKER = re.compile(r"piston-worker-(\d{1,5})")
SQUEUE = ("squeue", "--noheader", "--states=RUNNING", "--format=%N|%j")
PATIENCE = 30  # seconds that squeue may take
START = "sbatch --array=1-4 --wrap 'exec python -m r1lab task=sandbox_server task.port=0'"


def slurm_endpoints() -> list[str]:
    """The API addresses of all running workers, in an order that every process agrees on.

    Raises:
        ConfigError: there is no squeue here, it failed, or no such job runs.
    """
    where = "sandbox.endpoints=slurm"
    try:
        listed = subprocess.run(SQUEUE, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except FileNotFoundError as error:
        fix = "run on a Slurm cluster, or list the servers: PISTON_ENDPOINTS=http://HOST:PORT,…"
        raise ConfigError([Finding("squeue is not on PATH: no Slurm queue to look into", where, fix=fix)]) from error
    except subprocess.TimeoutExpired as error:
        what = f"squeue did not answer within {PATIENCE} s"
        raise ConfigError([Finding(what, where, fix="try again when the cluster's controller answers")]) from error
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip() or f"exit code {error.returncode}"
        raise ConfigError([Finding(f"squeue failed: {said}", where, fix="squeue")]) from error
    found = sorted(set(endpoints_in(listed.stdout)))
    if not found:
        what = "no running Slurm job is named piston-worker-PORT"
        raise ConfigError([Finding(what, where, fix=f"start workers first: {START}")])
    return found


def endpoints_in(listing: str) -> Iterator[str]:
    """The API addresses in lines `NODES|JOB NAME`; a job on several nodes has a worker on each."""
    for line in listing.splitlines():
        nodes, _, name = line.strip().partition("|")
        match = WORKER.fullmatch(name)
        if match and 0 < int(match[1]) < 65536:
            yield from (f"http://{host}:{match[1]}/api/v2" for host in hosts(nodes))


def hosts(nodes: str) -> list[str]:
    """The hosts of a Slurm node list: `gpu-[01-03,7],login` is gpu-01, gpu-02, gpu-03, gpu-7 and login."""
    return [host for part in re.split(r",(?![^\[]*\])", nodes) if part for host in _expand(part)]


def _expand(pattern: str) -> list[str]:
    head, bracket, rest = pattern.partition("[")
    if not bracket:
        return [pattern]
    inside, _, end = rest.partition("]")
    names = []
    for item in inside.split(","):
        first, dash, last = item.partition("-")
        numbers = range(int(first), int(last) + 1) if dash else [int(first)]
        names += [f"{head}{number:0{len(first)}d}" for number in numbers]
    return [name + tail for name in names for tail in _expand(end)]


def place(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """The rank of this training process and the number of them, as its launcher says; (0, 1) where it says none."""
    rank = environment.get("RANK") or environment.get("LOCAL_RANK") or "0"
    world = environment.get("WORLD_SIZE") or environment.get("LOCAL_WORLD_SIZE") or "1"
    return int(rank), max(1, int(world))


def share(endpoints: Sequence[str], rank: int, world: int) -> list[str]:
    """The endpoints that one of `world` processes uses.

    Every process gets at least one. Where there are enough of them, shares are disjoint and differ by one at most;
    where there are not, each endpoint serves as equal a number of processes as can be.
    """
    rank %= world
    return list(endpoints[rank::world]) if len(endpoints) >= world else [endpoints[rank % len(endpoints)]]
