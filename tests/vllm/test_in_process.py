"""engine=vllm: vLLM in the run's own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from datasets import load_dataset

from tests.vllm.conftest import EAGER, MODEL


def test_a_generation_in_process(cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("engine=vllm", EAGER, "dataset.train=30", "task.n=3", "task.max_tokens=48", "reward=[accuracy]")
    command = [sys.executable, "-m", "r1lab", "task=generate", *MODEL, *words, f"hydra.run.dir={run}"]
    subprocess.run(command, cwd=tmp_path, check=True)
    rows = load_dataset("parquet", data_files=str(run / "dataset/all/*.parquet"), split="train")
    assert sorted(zip(rows["row"], rows["sample"], strict=True)) == [(i, j) for i in range(30) for j in range(3)]
    assert set(rows["finish"]) <= {"stop", "length"} and all(0 < tokens <= 48 for tokens in rows["tokens"])
    assert len(set(rows["completion"])) > 30
    assert all(row["rewards"]["accuracy"] in (0.0, 1.0) for row in rows)
    assert json.loads((run / "manifest.json").read_text())["status"] == "finished"
