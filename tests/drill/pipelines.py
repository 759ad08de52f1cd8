"""The three pipelines in small, each from an empty folder: what every stage changed, and how long it took.

python -m tests.drill.pipelines            # what `make drill` runs; writes benchmarks/results/pipelines.json
python -m tests.drill.pipelines --only r1-tiny   # that one alone; what the file holds of the others stays
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, keep

TWINS = ("r1-distill-tiny", "r1-zero-tiny", "r1-tiny")
SHOWN = ("accuracy", "carries_kept", "traces")
LEAST = 0.30  # what the last stage has to gain over the base
LONGEST = 1200.0  # seconds of two cores' work: 10 minutes on two cores that nobody else uses


def figures(folder: Path) -> dict[str, Any]:
    """What one stage came to: shares before and after, what was kept, its seconds."""
    metrics = json.loads((folder / "metrics.json").read_text())
    found: dict[str, Any] = {}
    for name in SHOWN:
        values = [metrics.get(f"eval/{name}_before"), metrics.get(f"eval/{name}")]
        if any(value is not None for value in values):
            found[name] = [round(value, 4) for value in values if value is not None]
    for name in ("eval/pass@1", "eval/pass@1_low", "eval/pass@1_high", "eval/pass@4", "kept", "rows", "steps"):
        if name in metrics:
            found[name.removeprefix("eval/")] = round(metrics[name], 4)
    return found


def run(name: str, folder: Path, *words: str) -> dict[str, Any]:
    """One pipeline; its seconds on the clock and of the processor, and each stage's figures."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    command = [sys.executable, "-m", "r1lab", f"experiment={name}", f"outputs={folder}", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    stages = json.loads((folder / name / "pipeline.json").read_text())["stages"]
    told = {stage["name"]: {"task": stage["task"], **figures(Path(stage["folder"]))} for stage in stages}
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "load": os.getloadavg()[1], "stages": told}


def check(name: str, result: dict[str, Any]) -> None:
    """Fail where a pipeline misses what the docs promise."""
    base, last = (result["stages"][stage]["pass@1"] for stage in ("base", "result"))
    assert last - base >= LEAST, f"{name}: {base} → {last}"
    assert result["cpu_seconds"] <= LONGEST, f"{name} took {result['cpu_seconds']} s of the processor"


def kept() -> dict[str, Any]:
    """What the file holds."""
    file = RESULTS / "pipelines.json"
    return dict(json.loads(file.read_text())["results"]) if file.is_file() else {}


def main() -> None:
    """Run every twin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=TWINS, default=list(TWINS))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            told = run(name, Path(folder), f"seed={arguments.seed}")
            results[name] = {"seed": arguments.seed, **told}
        print(json.dumps({name: results[name]}), flush=True)
        check(name, results[name])
    keep("pipelines", {"problems": 400, "results": {**kept(), **results}})


if __name__ == "__main__":
    main()
