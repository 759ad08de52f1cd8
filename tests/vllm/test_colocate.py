"""GRPO with vLLM beside the model: every step samples with the weights that were trained, to the last one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.vllm.conftest import EAGER, MODEL

TOLERANCE = 0.01  # nats, of a token's log-probability in vLLM and in the trainer, both in single precision


def test_sampled_log_probabilities_are_the_trainers(cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = (
        "engine=vllm",
        EAGER,
        "reward=[coin_flip]",
        "eval.problems=0",
        "dataset.train=64",
        "trainer.max_steps=4",
        "trainer.learning_rate=2e-3",
        "trainer.lr_scheduler_type=constant",
        "trainer.warmup_steps=0",
        "trainer.per_device_train_batch_size=16",
        "trainer.steps_per_generation=1",
        "trainer.max_completion_length=32",
    )
    command = [sys.executable, "-m", "r1lab", "task=grpo", *MODEL, *words, f"hydra.run.dir={run}"]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "sampling/sampling_logp_difference/max" in line]
    assert [line["step"] for line in logged] == [1, 2, 3, 4]
    assert all(
        line["grad_norm"] > 0 for line in logged[:-1]
    )  # each step moved the weights that the next one samples from
    assert max(line["sampling/sampling_logp_difference/max"] for line in logged) < TOLERANCE
