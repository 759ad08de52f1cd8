"""Timing whole processes, and keeping the last result beside the command that made it."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds on the clock, and seconds of CPU including its children."""

    wall: float
    cpu: float


def cost(command: Sequence[str], expect: int = 0, env: dict[str, str] | None = None) -> Cost:
    """Run a command to its end and measure it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})}
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == expect, f"{command} ended with {done.returncode}"
    return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def median(costs: Sequence[Cost]) -> dict[str, float]:
    """Median wall and CPU seconds."""
    return {
        "wall_s": round(statistics.median(item.wall for item in costs), 3),
        "cpu_s": round(statistics.median(item.cpu for item in costs), 3),
    }


def keep(name: str, result: dict[str, Any]) -> None:
    """Print a result and write it to benchmarks/results/NAME.json with the command, the day and the machine."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "command": " ".join(["python", "-m", *(sys.orig_argv[2:])]),
        "date": str(date.today()),
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "hydra-core")},
        **result,
    }
    text = json.dumps(record, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def claim(what: str, figure: float, relation: str, aim: float) -> bool:
    """Print one line of a claim: what was found, what was aimed at, and whether it was reached."""
    reached = {">=": figure >= aim, ">": figure > aim, "<=": figure <= aim, "<": figure < aim}[relation]
    print(f"{'reached' if reached else 'MISSED '}  {what}: {figure:,} (aim {relation} {aim:,})")
    return reached
