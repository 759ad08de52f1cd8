"""What a plan says of a run, and the folder that it would write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1lab import hardware
from r1lab.plan.folder import check_folder
from tests.command_line import CommandLine

DISK = shutil._ntuple_diskusage  # type: ignore[attr-defined]


def test_a_dry_run_tells_what_would_run(r1lab: CommandLine) -> None:
    words = (
        "trainer.per_device_train_batch_size=16",
        "trainer.steps_per_generation=4",
        "trainer.gradient_accumulation_steps=2",
        "trainer.num_generations=8",
        "trainer.max_steps=100",
    )
    said = r1lab("dry_run=true", "accelerator=cpu", *words)
    assert (said.code, said.err, said.started) == (0, "", {})
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    for expected in (
        "run task grpo",
        "dataset arithmetic",
        "rewards accuracy × 1, format × 1",
        "machine device cpu",
        "batch per step 32 completions = 16 per device × 1 process × 2 accumulation",
        "per generation 8 prompts × 8 = 64 completions, used for 2 steps",
        "longest completion 64 tokens",
        "steps 100",
        "tokens up to 204,800 sampled",
        "plan nothing speaks against it; dry_run=true started nothing",
    ):
        assert expected in lines
    assert not Path("outputs").exists()


def test_a_dry_run_as_json(r1lab: CommandLine) -> None:
    plan = json.loads(r1lab("dry_run=json", "task=sft", "trainer.per_device_train_batch_size=4").out)
    assert plan["run"]["task"] == "sft"
    assert plan["batch"]["per step"] == "4 examples = 4 per device × 1 process × 1 accumulation"
    assert plan["findings"] == []
    assert plan["folder"].startswith("outputs/sft-tiny/")


def test_a_task_that_trains_nothing_plans_no_batch(r1lab: CommandLine) -> None:
    facts = r1lab.plan("task=eval").facts
    assert set(facts) == {"run", "machine", "completions"} and facts["completions"] == {"engine": "transformers"}
    assert facts["machine"]["roles"] == "node 0: one process"


def test_memory_follows_the_type_of_the_weights(r1lab: CommandLine) -> None:
    words = ["model=qwen2.5-math-7b"]
    assert r1lab.plan(*words).facts["memory"] == {
        "weights": "14.2 GiB",
        "gradients": "14.2 GiB",
        "optimizer": "28.4 GiB",
    }
    assert r1lab.plan(*words, "model.dtype=float32").facts["memory"]["optimizer"] == "56.7 GiB"


def test_a_disk_without_room(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: DISK(2**40, 0, 2**30))
    finding = r1lab.one("model=qwen2.5-math-7b", "name=big")
    assert finding["what"] == "the disk of outputs/big has 1.0 GiB free; the run may write 99.4 GiB"
    assert finding["fix"].startswith("outputs=FOLDER on another disk")
    said = r1lab("model=qwen2.5-math-7b", "dry_run=true")
    assert said.code == 0
    assert "warning the disk of outputs/" in said.out


@pytest.mark.parametrize("folder", ["/proc/runs", "file/runs", "file"])
def test_a_folder_that_cannot_be_written(folder: str, r1lab: CommandLine) -> None:
    Path("file").write_text("")
    finding = r1lab.one(f"outputs={folder}", "name=x")
    reason = (
        "cannot be written: No such file or directory" if folder == "/proc/runs" else "cannot be made: file is a file"
    )
    assert finding["what"] == f"{folder}/x {reason}"
    assert finding["where"] == f"override outputs={folder}"


def test_a_run_folder_that_cannot_be_written(r1lab: CommandLine) -> None:
    assert r1lab.one("hydra.run.dir=/proc/x/y")["where"] == "override hydra.run.dir=/proc/x/y"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True) if shutil.which("mount") else None
    if mounted is None or mounted.returncode:
        pytest.skip(f"this process may not mount a file system: {mounted.stderr.strip() if mounted else 'no mount'}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path, r1lab: CommandLine) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(b"0" * 2**20)
    finding = r1lab.one(f"outputs={small_disk}/runs")
    assert finding["what"].endswith("cannot be written: No space left on device")
    assert list(small_disk.iterdir()) == [ballast]


def test_a_disk_that_is_too_small(small_disk: Path, r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(small_disk)
    cfg = r1lab.plan("dry_run=true").cfg
    findings = check_folder(cfg, small_disk / "runs" / "x")
    assert [finding.what.partition(" has ")[2].partition(" free")[0] for finding in findings] == ["256.0 KiB"]
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(("visible", "count"), [("", 0), ("0", 1), ("0,1", 2), ("-1", 0), ("GPU-abc", 1)])
def test_visible_gpus(visible: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert hardware.gpus() == count


def test_this_machine() -> None:
    assert hardware.cores() == len(os.sched_getaffinity(0))
    assert 0.1 < hardware.memory_gb() < 100_000
