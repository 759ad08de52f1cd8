"""A GRPO step of the tiny model: bare TRL, r1lab on TRL's own code, and r1lab with its shortcuts, in turn.

All three train the same base on the same rows with the same settings for as many steps, 128 completions each.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import keep
from r1lab import compose
from r1lab.data import arithmetic
from r1lab.launch.environment import environment
from r1lab.models import tiny
from r1lab.plan.checks import resolve

STEPS = 40
ROUNDS = 3
SEED = 5


def main() -> None:
    """Run the three in turn, `ROUNDS` times; keep medians and pairwise ratios."""
    cfg = resolve(compose(f"seed={SEED}"))
    base = tiny.ensure(cfg.model)
    results: dict[str, list[dict[str, Any]]] = {"bare TRL": [], "r1lab, TRL's steps": [], "r1lab": []}
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in training_rows()))
        for number in range(ROUNDS):
            out = Path(folder) / f"{number}"
            results["bare TRL"].append(bare(base, rows, out.with_suffix(".json"), environment(cfg)))
            results["r1lab, TRL's steps"].append(r1lab(out / "plain", base, "engine.shortcuts=false"))
            results["r1lab"].append(r1lab(out / "fast", base, "engine.shortcuts=true"))
    keep("grpo_step", {"steps": STEPS, "completions_per_step": 128, "rounds": ROUNDS, "results": summary(results)})


def training_rows() -> list[dict[str, Any]]:
    """The rows of the default dataset, as TRL takes them."""
    drawn = arithmetic.problems("train", 2048, 3, 2, SEED, 0.5)
    return [
        {"prompt": [{"role": "user", "content": arithmetic.question(item)}], "solution": str(sum(item))}
        for item in drawn
    ]


def bare(base: Path, rows: Path, out: Path, env: dict[str, str]) -> dict[str, Any]:
    """One run of the bare script."""
    began = time.time()
    command = [sys.executable, "-m", "benchmarks.bare_trl", str(base), str(rows), str(STEPS), str(SEED), str(out)]
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record = json.loads(out.read_text())
    return {"step_ms": record["train_s"] / STEPS * 1e3, "first_step_s": record["first_step_at"] - began}


def r1lab(folder: Path, base: Path, *words: str) -> dict[str, Any]:
    """One run of r1lab, without the held-out evaluations, which the bare script does not make."""
    began = time.time()
    command = [sys.executable, "-m", "r1lab", f"seed={SEED}", f"trainer.max_steps={STEPS}", "trainer.save_strategy=no"]
    command += [f"model.path={base}", "eval.problems=0", "dataset.train=2048", f"hydra.run.dir={folder}", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    manifest = json.loads((folder / "manifest.json").read_text())
    started = datetime.fromisoformat(manifest["started"]).timestamp()
    metrics = json.loads((folder / "metrics.json").read_text())
    return {"step_ms": metrics["train_seconds"] / STEPS * 1e3, "first_step_s": started + records[0]["time"] - began}


def summary(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians, and ratios to bare TRL of the same round."""
    table = {}
    peers = results["bare TRL"]
    for name, items in results.items():
        table[name] = {
            key: {
                "median": round(statistics.median(item[key] for item in items), 2),
                "ratios": [round(item[key] / peer[key], 3) for item, peer in zip(items, peers, strict=True)],
            }
            for key in ("step_ms", "first_step_s")
        }
    return table


if __name__ == "__main__":
    main()
