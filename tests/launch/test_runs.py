"""Whole runs in two processes, through the command line: one folder, written once, that can be resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from r1lab.models import tiny
from r1lab.notebook import compose
from r1lab.runs.folder import RunFolder

pytestmark = pytest.mark.whole

CLOCKS = ("time", "step_time")


def r1lab(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "r1lab", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=1000, env={**os.environ, **(env or {})})


def records(folder: Path, stream: str = "metrics.jsonl") -> list[dict[str, Any]]:
    found = RunFolder(folder).records(stream)
    return [{name: value for name, value in item.items() if name not in CLOCKS} for item in found]


def test_grpo_in_two_processes(small: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    more = (
        "accelerator.processes=2",
        "eval.problems=7",
        "task.resample=1",
        "trainer.max_steps=2",
        "trainer.save_steps=1",
    )
    batch = ("trainer.per_device_train_batch_size=8", "reward=[coin_flip]", "objective=eval/coin_flip")
    done = r1lab(*small, *more, *batch, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [item["step"] for item in records(folder) if "loss" in item]
    assert steps == [1, 2]  # once each, though two processes log
    evaluated = [item["step"] for item in records(folder, "completions/eval.jsonl")]
    assert evaluated == [0] * 7 + [2] * 7 or set(evaluated) >= {0, 2}
    problems = [item["problem"] for item in records(folder, "completions/eval.jsonl") if item["step"] == 0]
    assert problems == list(range(7))  # shared out over the processes and joined, the odd one included
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["spread"] == {"processes": 2, "wrapper": "ddp", "backend": "gloo", "device": "cpu"}
    checkpoint = folder / "checkpoints/checkpoint-2"
    assert {path.name for path in checkpoint.glob("r1lab_*.pt")} == {"r1lab_0.pt", "r1lab_1.pt"}
    assert {path.name for path in checkpoint.glob("rng_state_*.pth")} == {"rng_state_0.pth", "rng_state_1.pth"}
    for item in records(folder, "completions/train.jsonl"):
        assert item["prompt"].startswith("What is") and item["solution"] is not None
    assert (folder / "report.html").is_file() and "Traceback" not in (folder / "ranks/1.log").read_text()
    longer = r1lab(f"resume={folder}", "trainer.max_steps=3")
    assert longer.returncode == 0, longer.stdout + longer.stderr
    assert [item["step"] for item in records(folder) if "loss" in item] == [1, 2, 3]


KINDS = {
    "ddp": ("accelerator.processes=2",),
    "zero2": ("accelerator=zero2", "accelerator.device=cpu", "accelerator.processes=2"),
    "zero3": ("accelerator=zero3", "accelerator.device=cpu", "accelerator.processes=2"),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["grpo", "sft"])
def test_a_resumed_run_is_the_uninterrupted_one(small: tuple[str, ...], tmp_path: Path, kind: str, task: str) -> None:
    """Killed after its first checkpoint and resumed: every metric, completion and weight is the same."""
    words = [*small, *KINDS[kind], f"task={task}", "trainer.max_steps=6", "trainer.save_steps=2"]
    words += ["trainer.per_device_train_batch_size=8", "trainer.save_total_limit=1"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = r1lab(*words, f"hydra.run.dir={whole}")
    assert done.returncode == 0, done.stdout + done.stderr
    process = subprocess.Popen([sys.executable, "-m", "r1lab", *words, f"hydra.run.dir={broken}"])
    while not (broken / "checkpoints/checkpoint-2/COMPLETE").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    done = r1lab(f"resume={broken}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert records(broken) == records(whole)
    for stream in ("completions/train.jsonl", "completions/eval.jsonl"):
        assert records(broken, stream) == records(whole, stream)
    first, second = (load_file(folder / "model/model.safetensors") for folder in (whole, broken))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert all(weight.numel() for weight in first.values())  # whole weights, also where they were spread


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_rejection_sampling_in_two_processes(cache: Path, tmp_path: Path) -> None:
    """With a model that has learnt to end what it writes: what is cut off is not kept."""
    folder = tmp_path / "run"
    trained = ("accelerator=cpu", "model.build.steps=60", "model.build.problems=1920", "model.build.batch=32")
    small = (*trained, "dataset.train=64", "dataset.test=16", "eval.problems=8")
    words = (
        "task=rft",
        "task.n=2",
        "task.problems=7",
        "task.keep=0.0",
        "reward=[coin_flip]",
        "objective=eval/coin_flip",
    )
    more = ("accelerator.processes=2", "trainer.max_steps=2", "trainer.per_device_train_batch_size=2")
    done = r1lab(*small, *words, *more, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    kept = [json.loads(line) for line in (folder / "kept.jsonl").read_text().splitlines()]
    assert metrics["sampled"] == 14 and metrics["kept"] == len(kept) > 0
    assert json.loads((folder / "manifest.json").read_text())["spread"]["processes"] == 2
    assert [item["step"] for item in records(folder) if "loss" in item] == [1, 2]


REFERENCES = {"read again": (), "adapter": ("adapter=lora",), "altered": ("model.rope.theta=20000",)}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_under_zero3_is_the_model_before_training(
    small: tuple[str, ...], tmp_path: Path, name: str
) -> None:
    """At the first step the model is its reference: their divergence is 0, and no longer once the model has moved."""
    folder = tmp_path / "run"
    words = ("task=grpo", "trainer.beta=0.1", "trainer.max_steps=3", "trainer.per_device_train_batch_size=4")
    words += ("trainer.num_generations=4", "trainer.max_completion_length=8", "trainer.learning_rate=0.01")
    words += ("reward=[coin_flip]", "objective=eval/coin_flip")
    done = r1lab(*small, *KINDS["zero3"], *words, *REFERENCES[name], f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    divergence = [item["kl"] for item in records(folder) if "loss" in item]
    assert abs(divergence[0]) < 1e-6 < divergence[-1]
    if name == "altered":
        built = tiny.ensure(compose(*small).model)
        first, second = load_file(built / "model.safetensors"), load_file(folder / "reference/model.safetensors")
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
