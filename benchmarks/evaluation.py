"""`python -m benchmarks.evaluation`: evaluator=native beside the raw engine, on one server.

The raw engine completes the prompts and drops what comes; the evaluator loads a benchmark of as many math problems,
keeps every completion in its store, judges each, and writes records and results. Both ask one server in turn, each in a
process of its own: a stand-in that answers after latencies as a model's, or `--url`, such as `vllm serve`. Processor
seconds are the process's own and, apart, its children's, which are those that judge.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from benchmarks.engines import stand_in
from benchmarks.measure import claim, keep
from r1lab.engines.base import Sampling
from r1lab.engines.server import ServerEngine
from r1lab.evaluation.questions import questions_of
from r1lab.evaluation.result import keep as write
from r1lab.evaluation.result import result_of
from r1lab.evaluators.native import evaluate
from r1lab.notebook import compose
from r1lab.plan.checks import plan
from r1lab.rewards.pool import pool

PROBLEMS, SAMPLES, ROUNDS = 500, 4, 5
AIM = 0.95


def one(kind: str, url: str, folder: Path) -> dict[str, float]:
    """Seconds from the first request to the last result, and of processor time meanwhile."""
    file = folder / "problems.jsonl"
    rows = [{"unique_id": str(i), "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(PROBLEMS)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [
        "task=eval",
        "benchmark=[math-500]",
        f"benchmark.math-500.path={file}",
        "benchmark.math-500.max_tokens=2048",
    ]
    cfg = plan(
        compose(*words, "model=deepseek-r1-distill-qwen-1.5b", "engine=server", f"engine.urls=[{url}]"), folder
    ).cfg
    prompts = [question.prompt for question in questions_of("math-500", cfg.benchmark["math-500"]).asked]
    gc.freeze()  # as a run's process does it, for both
    began, before = time.perf_counter(), time.process_time()
    if kind == "raw":
        engine = ServerEngine([url], in_flight=cfg.engine.in_flight)
        engine.generate(prompts, Sampling(SAMPLES, 0.6, 0.95, max_tokens=2048, seed=42))
        engine.close()
    else:
        for record in evaluate(cfg, folder):
            write(folder, record, result_of(record, [1, 4]))
    seconds, own = time.perf_counter() - began, time.process_time() - before
    pool().close()  # children are counted when they have ended
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "cpu": own, "children": used.ru_utime + used.ru_stime}


def main() -> None:
    """Measure both in turn; the ratio of each round, and the median."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--one", choices=("raw", "native"))
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(one(given.one, given.url, Path(folder))))
        return
    with nullcontext(given.url) if given.url else stand_in() as url:
        found: dict[str, list[dict[str, float]]] = {"raw": [], "native": []}
        for number in range(ROUNDS):
            for kind in ("raw", "native") if number % 2 == 0 else ("native", "raw"):
                command = [sys.executable, "-m", "benchmarks.evaluation", "--one", kind, "--url", str(url)]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found[kind].append(json.loads(said.splitlines()[-1]))
    ratios = [raw["seconds"] / native["seconds"] for native, raw in zip(found["native"], found["raw"], strict=True)]
    middle = round(statistics.median(ratios), 3)
    keep(
        "evaluation",
        {
            "server": given.url or "a stand-in with latencies as a model's",
            "completions": PROBLEMS * SAMPLES,
            "completions_a_second": {k: [round(PROBLEMS * SAMPLES / r["seconds"], 1) for r in found[k]] for k in found},
            "cpu_seconds": {k: [round(r["cpu"], 2) for r in found[k]] for k in found},
            "cpu_seconds_of_judges": [round(r["children"], 2) for r in found["native"]],
            "native_beside_raw": [round(ratio, 3) for ratio in ratios],
            "median": middle,
        },
    )
    reached = claim("native evaluation beside the raw engine's completions a second", middle, ">=", AIM)
    sys.exit(not reached)


if __name__ == "__main__":
    main()
