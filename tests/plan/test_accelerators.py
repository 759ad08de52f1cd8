"""Accelerators as config: what cannot be, what this machine lacks, and batches over several processes."""

from __future__ import annotations

import subprocess

import pytest

from r1lab.errors import ConfigError
from r1lab.plan import accelerators, devices
from r1lab.plan.batch import batch_of
from tests.command_line import CommandLine

SMALL = "model=qwen2.5-1.5b-instruct"


@pytest.mark.parametrize(
    ("words", "what", "nearest"),
    [
        (["accelerator.kind=fdsp"], "accelerator.kind does not know 'fdsp'", "accelerator.kind=fsdp"),
        (
            ["accelerator.mixed_precision=bf_16"],
            "accelerator.mixed_precision does not know 'bf_16'",
            "accelerator.mixed_precision=bf16",
        ),
        (
            ["accelerator=zero2", "accelerator.stage=4"],
            "accelerator.stage=4 is no stage of kind zero",
            "accelerator.stage=3",
        ),
        (["accelerator.stage=2"], "accelerator.stage=2 is no stage of kind single", "accelerator.stage=0"),
        (["accelerator.processes=0"], "accelerator.processes=0 is out of range", "accelerator.processes=1"),
        (["accelerator.nodes=0"], "accelerator.nodes=0 is out of range", "accelerator.nodes=1"),
        (["accelerator.gpu=h10"], "accelerator.gpu=h10 is none whose numbers are known", "accelerator.gpu=h100"),
        (["accelerator.nodes=2"], "the run takes 2 nodes, and this machine is one", "accelerator.nodes=1"),
        (
            ["accelerator.kind=single", "accelerator.processes=2", "accelerator.device=cpu"],
            "accelerator.processes=2: kind single is one process",
            "accelerator.processes=1",
        ),
        (
            ["task=eval", "accelerator.processes=2", "accelerator.device=cpu"],
            "accelerator.processes=2: task=eval runs in one process",
            "accelerator=auto",
        ),
        (
            ["debug=true", "accelerator=cpu", "accelerator.processes=2"],
            "debug=true runs in this process, and accelerator=cpu in processes of its own",
            "accelerator=auto accelerator.processes=1",
        ),
        (
            ["accelerator=fsdp", "accelerator.device=cpu", "accelerator.processes=2"],
            "accelerator.kind=fsdp shards on GPUs only; on a CPU the libraries would train without it, and not say so",
            "accelerator=zero3 accelerator.device=cpu",
        ),
        (
            ["accelerator=zero3-offload", "accelerator.device=cpu"],
            "accelerator.offload=true: on a CPU the states are in the node's memory already",
            "accelerator.offload=false",
        ),
        (
            ["accelerator=single"],
            "accelerator.device=cuda: this machine has no GPU that is visible",
            "accelerator=auto",
        ),
        (
            ["accelerator=zero3", "accelerator.processes=16", "dry_run=true"],
            "accelerator.processes=16: a node has 8 GPUs",
            "accelerator.processes=8",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_no_accelerator_has(words: list[str], what: str, nearest: str, r1lab: CommandLine) -> None:
    finding = r1lab.one(*words)
    assert (finding["what"], finding["nearest"]) == (what, nearest)


@pytest.mark.parametrize(
    ("words", "here", "kind", "processes", "gpus"),
    [
        ([], 0, "single", 1, None),
        ([], 1, "single", 1, 1),
        ([], 4, "ddp", 4, 4),
        (["accelerator.gpus=2"], 4, "ddp", 2, 2),
        (["task=eval"], 4, "single", 1, 4),
        (["accelerator=single"], 4, "single", 1, 1),
        (["accelerator=zero3"], 2, "zero", 2, 2),
        (["accelerator=zero2", "accelerator.processes=1"], 2, "zero", 1, 2),
        (["accelerator=fsdp", "dry_run=true"], 0, "fsdp", 8, 8),  # planned for a node of eight H100
        (["accelerator=cpu"], 4, "single", 1, None),
        (["accelerator=cpu", "accelerator.processes=2"], 4, "ddp", 2, None),
        (["accelerator=zero3", "accelerator.device=cpu", "accelerator.processes=2"], 0, "zero", 2, None),
    ],
)
def test_what_the_machine_decides(
    words: list[str],
    here: int,
    kind: str,
    processes: int,
    gpus: int | None,
    r1lab: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices.hardware, "gpus", lambda: here)
    monkeypatch.setattr(devices, "local_gpus", lambda: (("NVIDIA H100", 79.1),) * here)
    plan = r1lab.plan(*words)
    found = plan.cfg.accelerator
    assert (found.kind, found.processes, found.gpus) == (kind, processes, gpus)
    assert [finding.what for finding in plan.errors] == []
    assert found.gpu == (None if here or found.device == "cpu" else "h100")


def test_gpus_that_are_not_here(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.hardware, "gpus", lambda: 2)
    monkeypatch.setattr(devices, "local_gpus", lambda: (("NVIDIA H100", 79.1),) * 2)
    with pytest.raises(ConfigError) as told:
        r1lab.plan("accelerator=zero3", "accelerator.gpus=8")
    (finding,) = told.value.findings
    assert finding.what == "the run takes 8 GPUs of a node, and this machine shows 2"
    assert finding.nearest == "accelerator.gpus=2"


def test_deepspeed_that_is_not_installed(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "installed", lambda package: package != "deepspeed")
    words = ("accelerator=zero2", "accelerator.device=cpu", "accelerator.processes=2")
    with pytest.raises(ConfigError) as told:
        r1lab.plan(*words)
    (finding,) = told.value.findings
    assert finding.what == "accelerator=zero2 needs deepspeed, which is not installed"
    assert finding.fix == "pip install 'deepspeed>=0.19'"
    (dry,) = r1lab.plan(*words, "dry_run=true").findings
    assert dry.severity == "warning"


def test_a_batch_over_nodes(r1lab: CommandLine) -> None:
    words = [SMALL, "accelerator=zero3", "accelerator.nodes=4", "dry_run=true", "trainer.per_device_train_batch_size=2"]
    cfg = r1lab.plan(*words).cfg
    batch = batch_of(cfg)
    assert (batch.processes, batch.examples, batch.prompts_per_generation) == (32, 64, 8)
    assert r1lab.plan(*words, "global_batch_size=256").cfg.trainer.gradient_accumulation_steps == 4
    finding = r1lab.one(*words, "global_batch_size=100")
    assert finding["nearest"] == "global_batch_size=64 or 128"
    odd = r1lab.one(*words[:-2], "dry_run=true", "trainer.per_device_train_batch_size=1", "trainer.num_generations=24")
    assert odd["nearest"] == "trainer.num_generations=16 or 32"


@pytest.mark.parametrize(
    ("words", "bf16", "fp16"),
    [
        ([], False, False),  # the tiny model's float32
        (["accelerator.mixed_precision=bf16"], True, False),
        (["accelerator.mixed_precision=no"], False, False),
        ([SMALL], True, False),
        ([SMALL, "accelerator.mixed_precision=fp16"], False, True),
        ([SMALL, "accelerator.mixed_precision=fp16", "trainer.fp16=false"], False, False),
    ],
)
def test_mixed_precision_reaches_the_trainer(words: list[str], bf16: bool, fp16: bool, r1lab: CommandLine) -> None:
    trainer = r1lab.plan(*words, "accelerator.device=cuda", "dry_run=true").cfg.trainer
    assert (trainer.bf16, trainer.fp16) == (bf16, fp16)


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("NVIDIA H100 80GB HBM3", 79.1),
        ("NVIDIA H100 PCIe", 79.1),
        ("NVIDIA A100-SXM4-40GB", 39.4),
        ("NVIDIA A100-SXM4-80GB", 79.1),
        ("NVIDIA L40S", 44.4),
        ("NVIDIA GeForce RTX 4090", 23.5),
        ("Tesla T4", 14.6),
    ],
)
def test_names_as_drivers_say_them(name: str, memory: float) -> None:
    gpu = devices.known(name)
    assert gpu is not None and gpu.memory == memory


def test_what_is_not_known_is_not_guessed() -> None:
    assert devices.known("Radeon") is None


def test_this_machines_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 0, stdout="NVIDIA H200, 143771\nNVIDIA H200, 143771\n")
    monkeypatch.setattr(devices.hardware, "gpus", lambda: 2)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    devices.local_gpus.cache_clear()
    try:
        assert devices.local_gpus() == (("NVIDIA H200", 143771 / 1024),) * 2
    finally:
        devices.local_gpus.cache_clear()
