"""The main job on three seeds that nothing was tuned on, each from an empty cache, with its controls beside it.

python -m tests.drill.seeds            # what `make drill` runs; writes benchmarks/results/main_job.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import keep

SEEDS = (1, 2, 3)
CONTROLS = ("rejection-sampling", "coin-flip", "more-supervised")
SHOWN = ("accuracy", "carries_kept", "columns_right", "traces", "format")


def run(folder: Path, cache: Path, *words: str) -> dict[str, Any]:
    """One run; its seconds on the clock and its figures before and after."""
    began = time.monotonic()
    command = [sys.executable, "-m", "r1lab", f"hydra.run.dir={folder}", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "R1LAB_CACHE": str(cache)})
    seconds = time.monotonic() - began
    metrics = json.loads((folder / "metrics.json").read_text())
    figures: dict[str, Any] = {"seconds": round(seconds, 1), "train_seconds": metrics["train_seconds"]}
    for name in SHOWN:
        if f"eval/{name}" in metrics:
            pair = [metrics[f"eval/{name}_before"], metrics[f"eval/{name}"]]
            figures[name] = [round(value, 4) for value in pair]
    return figures


def main() -> None:
    """Run every seed and its controls; fail if a seed misses what the README promises."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    seeds = parser.parse_args().seeds
    results = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            results[f"seed {seed}"] = {"main job": run(root / "main", root / "cache", f"seed={seed}")}
            for control in CONTROLS:
                words = (f"seed={seed}", f"experiment={control}")
                results[f"seed {seed}"][control] = run(root / control, root / "cache", *words)
            print(json.dumps(results[f"seed {seed}"]), flush=True)
    for seed, runs in results.items():
        before, after = runs["main job"]["accuracy"]
        assert after - before >= 0.30, f"{seed}: {before} → {after}"
        assert min(runs["main job"]["traces"]) >= 0.95, f"{seed}: the style of the traces changed"
        for control in ("coin-flip", "more-supervised"):
            was, now = runs[control]["accuracy"]
            assert now - was < 0.10, f"{seed}: {control} {was} → {now}"
    keep("main_job", {"problems": 400, "temperature": 1.0, "results": results})


if __name__ == "__main__":
    main()
