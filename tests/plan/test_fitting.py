"""Runs that do not fit are told so with choices that do; each choice is planned again and must fit."""

from __future__ import annotations

import json

import pytest

from r1lab import hardware
from r1lab.plan.fitting import splits
from r1lab.plan.parameters import Shape
from tests.command_line import CommandLine

SEVEN = "model=qwen2.5-math-7b"
ONE_GPU = ("accelerator=single", "dry_run=true")


def laptop(monkeypatch: pytest.MonkeyPatch, gibibytes: float = 16.0) -> None:
    monkeypatch.setattr(hardware, "usable_memory_gb", lambda: gibibytes)


def test_a_large_model_on_a_laptop(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop(monkeypatch)
    finding = r1lab.one(SEVEN)
    assert finding["what"].startswith("the run needs about ")
    assert finding["what"].endswith("; this machine has 16 GiB")
    assert "optimizer 28" in finding["what"]
    assert finding["fix"] == "a smaller model, or a GPU"
    assert finding["where"] == f"override {SEVEN}" or finding["where"].endswith("qwen2.5-math-7b.yaml:2")
    plan = r1lab.plan(SEVEN, "dry_run=true")
    assert [finding.severity for finding in plan.findings] == ["warning"]
    assert plan.facts["this machine"]["verdict"] == "does not fit"


def test_what_fits_a_laptop_is_left_alone(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop(monkeypatch, 4.0)
    assert r1lab.plan().findings == []
    laptop(monkeypatch, 1.0)
    assert "this machine has 1 GiB" in r1lab.one()["what"]


@pytest.mark.parametrize(
    "words",
    [
        (SEVEN, "task=sft", "trainer.packing=true", "trainer.per_device_train_batch_size=16"),
        (SEVEN, "model.dtype=float32", "trainer.bf16=true"),
        (SEVEN, "trainer.per_device_train_batch_size=64", "trainer.max_completion_length=3000"),
        (SEVEN, "trainer.gradient_checkpointing=false", "trainer.per_device_train_batch_size=32"),
        ("model=qwen2.5-1.5b-instruct", "task=sft", "trainer.packing=true", "accelerator.gpu=a10"),
    ],
)
def test_the_choices_named_do_fit(words: tuple[str, ...], r1lab: CommandLine) -> None:
    finding = r1lab.one(*words, *ONE_GPU)
    assert finding["what"].startswith("the run needs about ")
    named = [finding["nearest"], *finding.get("fix", "").removeprefix("or ").split("; or ")]
    tried = [choice.split() for choice in named if choice and "adapter=" not in choice]
    assert tried
    for choice in tried:
        kept = [
            word for word in (*words, *ONE_GPU) if word.partition("=")[0] not in {c.partition("=")[0] for c in choice}
        ]
        gpu = [] if any(word.startswith("accelerator.gpu=") for word in kept) else ["accelerator.gpu=h100"]
        plan = r1lab.plan(*kept, *gpu, *choice)
        assert "needs about" not in " ".join(item.what for item in plan.findings)
        assert plan.facts["each GPU"]["verdict"].startswith(("fits", "tight"))


def test_many_changes_at_once(r1lab: CommandLine) -> None:
    """A 70B model with rows of 32,768 tokens on one node: no two changes are enough, several are named that are."""
    seventy = [f"model.{name}" for name in ("layers=80", "hidden=8192", "intermediate=28672", "heads=64", "kv_heads=8")]
    words = ["model=hub", "model.repo=a/b", *seventy, "model.vocabulary=128256", "model.context=32768", "task=sft"]
    words += ["accelerator=zero2", "trainer.packing=true", "dry_run=true"]
    finding = r1lab.one(*words)
    assert len(finding["nearest"].split()) >= 3
    kept = [word for word in words if not word.startswith("accelerator=") or "accelerator=" not in finding["nearest"]]
    assert r1lab.plan(*kept, *finding["nearest"].split()).facts["each GPU"]["verdict"].startswith(("fits", "tight"))


def test_a_smaller_piece_keeps_the_step(r1lab: CommandLine) -> None:
    words = (SEVEN, "accelerator=zero3", "task=sft", "trainer.per_device_train_batch_size=64", "trainer.packing=true")
    finding = r1lab.one(*words, "dry_run=true")
    values = dict(word.split("=") for word in finding["nearest"].split())
    per_device, accumulation = (
        int(values[f"trainer.{name}"]) for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    assert per_device * accumulation == 64


def test_padded_rows_may_be_shorter(r1lab: CommandLine) -> None:
    """Open-R1's demo: 16 rows of up to 32,768 tokens on 80 GB, which ran because few rows are so long."""
    words = ("model=qwen2.5-1.5b-instruct", "task=sft", "accelerator=zero3", "dry_run=true", "eval.batch=16")
    batch = ("trainer.per_device_train_batch_size=16", "trainer.use_liger_kernel=true", "trainer.max_length=32768")
    plan = r1lab.plan(*words, *batch)
    (said,) = [finding for finding in plan.findings if "a batch of 16 rows of 32768 tokens" in finding.what]
    assert said.severity == "warning"
    longest = int(said.what.rpartition("rows of ")[2].split()[0])
    assert 8192 < longest < 32768
    assert said.nearest
    refused = r1lab.one(*words, *batch, "trainer.packing=true")
    assert refused["what"].startswith("the run needs about ")


@pytest.mark.parametrize(
    ("word", "what", "nearest"),
    [
        ("engine.tensor_parallel=5", "does not divide the 28 attention heads", "=4"),
        ("engine.gpu_memory_utilization=0.1", "is 8 GiB; vLLM needs 15 GiB of a GPU", "=0.2"),
    ],
)
def test_vllm_in_the_same_gpus(word: str, what: str, nearest: str, r1lab: CommandLine) -> None:
    words = (SEVEN, "accelerator=zero3", "engine=vllm", "dry_run=true")
    finding = r1lab.one(*words, word)
    key = word.partition("=")[0]
    assert finding["what"].startswith(key) and what in finding["what"]
    assert finding["nearest"] == key + nearest


@pytest.mark.parametrize(
    ("heads", "kv_heads", "sizes"), [(28, 4, [1, 2, 4, 28]), (12, 2, [1, 2, 4, 6, 12]), (32, 8, [1, 2, 4, 8, 16, 32])]
)
def test_heads_over_gpus(heads: int, kv_heads: int, sizes: list[int]) -> None:
    shape = Shape(2, heads * 16, 64, heads, kv_heads, 128, 16, True)
    assert [size for size in range(1, heads + 1) if splits(shape, size)] == sizes


def test_more_tensor_parallel_ranks_than_processes(r1lab: CommandLine) -> None:
    words = (SEVEN, "accelerator=zero3", "accelerator.processes=6", "engine=vllm", "dry_run=true")
    finding = r1lab.one(*words, "engine.tensor_parallel=4")
    key = "engine.tensor_parallel"
    assert finding["what"] == f"{key}=4 does not divide the 6 training processes it shares GPUs with"
    assert finding["nearest"] == f"{key}=2"  # which divides 6 processes and 28 heads


def test_the_table_and_the_json_of_a_plan(r1lab: CommandLine) -> None:
    words = (SEVEN, "accelerator=zero3", "task=sft", "trainer.max_steps=10", "dry_run=json", "trainer.packing=true")
    plan = json.loads(r1lab(*words).out)
    rows = plan["each GPU"]
    assert list(rows)[:4] == ["libraries", "weights", "optimizer", "gradients"]
    assert rows["weights"].strip() == "1.77 GiB"  # 7.62 billion × 2 bytes / 8
    assert rows["optimizer"].strip() == "10.64 GiB"  # × 12 / 8
    assert rows["in all"].endswith("of 79.10 GiB")
    assert rows["verdict"].startswith("fits: ")
    assert plan["machine"]["roles"] == "1 node × 8 training processes (zero, stage 3)"
    assert plan["batch"]["tokens per step"] == "up to 262,144"
    assert plan["batch"]["tokens"] == "up to 2,621,440"
    assert plan["hours"]["assumed"].startswith("40% of 989 TFLOP/s")


def test_unknown_devices_get_no_verdict(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is here, and its driver does not say which."""
    monkeypatch.setattr("r1lab.hardware.gpus", lambda: 1)
    monkeypatch.setattr("r1lab.plan.devices.local_gpus", lambda: ())
    words = (SEVEN, "accelerator=single", "accelerator.gpu=null", "dry_run=true")
    assert "unknown" in r1lab.plan(*words).facts["each GPU"]["verdict"]
    assert (
        "40.00 GiB"
        in r1lab.plan(*words, "accelerator.gpu_memory=40", "model=qwen2.5-1.5b-instruct").facts["each GPU"]["in all"]
    )
