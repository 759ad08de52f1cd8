"""A sweep's command given again: what is done is left alone, the rest tried in the way that helps, and all is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from r1lab import main
from r1lab.errors import RunError
from r1lab.plan.batch import batch_of, smaller_batch
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder
from r1lab.runs.outcome import MACHINERY, MEMORY, OWN, fault_of
from tests.command_line import CommandLine

pytestmark = pytest.mark.whole

OOM = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


class Machine:
    """Stands in for `launch.local.launch`: leaves what a worker leaves, ending each try as the test says."""

    def __init__(self) -> None:
        self.ends: dict[int, list[str]] = {}  # seed → the causes of its failures, in turn
        self.tries: list[tuple[int, int, int]] = []  # seed, per device, accumulation

    def launch(self, cfg: DictConfig, run_dir: Path, typed: str = "") -> dict[str, Any]:
        folder = RunFolder(run_dir)
        folder.write_config(cfg)
        manifest.start(folder, cfg, typed)
        batch = batch_of(cfg)
        self.tries.append((cfg.seed, batch.per_device, batch.accumulation))
        causes = self.ends.get(cfg.seed, [])
        if causes and (cause := causes.pop(0)):
            manifest.end(folder, "failed", 1, cause)
            raise RunError(cause)
        metrics = {"eval/accuracy": cfg.seed / 10, "objective": "eval/accuracy"}
        folder.write_json("metrics.json", metrics)
        manifest.end(folder, "finished", 0)
        return metrics


@pytest.fixture
def machine(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(main, "launch", machine.launch)
    monkeypatch.setattr(manifest, "git_state", lambda _folder: None)
    return machine


def sweep_of() -> Path:
    (folder,) = Path("outputs/sweeps").iterdir()
    return folder


def manifest_of(run: int) -> dict[str, Any]:
    return json.loads((sweep_of() / f"{run}/manifest.json").read_text())


def test_what_another_command_runs_is_left_to_it(r1lab: CommandLine, machine: Machine) -> None:
    machine.ends = {2: [OOM] * 9, 3: ["interrupted"]}
    r1lab("-m", "seed=1,2,3")
    machine.tries.clear()
    with RunFolder(sweep_of() / "1").locked(), RunFolder(sweep_of() / "2").locked():
        again = r1lab("-m", "seed=1,2,3")
    assert again.code == 1 and machine.tries == []
    for run in (1, 2):
        assert f"{sweep_of()}/{run} is running: another command has begun it" in again.err


def test_the_same_command_skips_what_is_done(r1lab: CommandLine, machine: Machine) -> None:
    machine.ends = {2: ["RewardError: accuracy returned 3 values for 8 completions"]}
    first = r1lab("-m", "seed=1,2,3")
    assert first.code == 1 and [seed for seed, *_ in machine.tries] == [1, 2, 3]  # not tried again by itself
    machine.tries.clear()
    again = r1lab("seed=1,2,3", "-m", "accelerator.threads=2")  # where it runs is no other sweep
    assert again.code == 1 and machine.tries == []
    assert f"goes on with the sweep {sweep_of()}" in again.out
    assert "0      is done" in again.out and "2      is done" in again.out
    assert "failed before: RewardError: accuracy returned 3 values" in again.err
    assert "sweep.failed=retry tries it again" in again.err
    assert "best   run 2: eval/accuracy 30.0" in again.out
    repaired = r1lab("-m", "seed=1,2,3", "sweep.failed=retry")
    assert repaired.code == 0 and [seed for seed, *_ in machine.tries] == [2]
    assert [item["kind"] for item in manifest_of(1)["tries"]] == [OWN]


def test_another_command_or_a_wish_begins_another_sweep(r1lab: CommandLine, machine: Machine) -> None:
    r1lab("-m", "seed=1,2")
    r1lab("-m", "seed=1,2", "sweep.new=true")
    r1lab("-m", "seed=1,2", "trainer.max_steps=9")
    r1lab("-m", "seed=1,2,3")
    assert len(machine.tries) == 2 + 2 + 2 + 3
    assert len(list(Path("outputs/sweeps").iterdir())) == 4


def test_words_that_mean_something_else_by_now_begin_another_sweep(
    r1lab: CommandLine, machine: Machine, write: Any
) -> None:
    write("mine/dataset/sums.yaml", "defaults: [arithmetic]\ndigits: 2\n")
    words = ("--config-dir", "mine", "dataset=sums", "-m", "seed=1,2")
    assert r1lab(*words).code == 0
    assert r1lab(*words).code == 0 and len(machine.tries) == 2
    write("mine/dataset/sums.yaml", "defaults: [arithmetic]\ndigits: 4\n")
    said = r1lab(*words)
    assert said.code == 0, said.err
    assert "goes on with" not in said.out and len(machine.tries) == 4


def test_the_machinery_s_failures_are_tried_again_twice(r1lab: CommandLine, machine: Machine) -> None:
    gone = "EngineError: no server answers"
    machine.ends = {1: [gone, gone], 2: [gone] * 4}
    said = r1lab("-m", "seed=1,2")
    assert [seed for seed, *_ in machine.tries] == [1, 1, 1, 2, 2, 2]
    assert said.code == 1 and "is tried again: EngineError: no server answers" in said.out
    assert [item["cause"] for item in manifest_of(0)["tries"]] == [gone, gone]
    assert len(manifest_of(0)["resumed"]) == 2  # in the same folder: it goes on from its checkpoint
    machine.tries.clear()
    assert r1lab("-m", "seed=1,2").code == 0  # the fourth failure and then none
    assert [seed for seed, *_ in machine.tries] == [2, 2]
    assert r1lab("-m", "seed=1,2", "sweep.new=true", "sweep.retries=0").code == 0


def test_out_of_memory_takes_a_smaller_batch_until_it_fits(r1lab: CommandLine, machine: Machine) -> None:
    machine.ends = {1: [OOM, OOM]}
    said = r1lab("-m", "seed=1,2", "trainer.per_device_train_batch_size=12", "trainer.gradient_accumulation_steps=2",
                 "trainer.num_generations=8", "trainer.generation_batch_size=null")  # fmt: skip
    assert said.code == 0, said.err
    assert machine.tries == [(1, 12, 2), (1, 6, 4), (1, 3, 8), (2, 12, 2)]
    assert "per device × accumulation is now 6 × 4 (was 12 × 2), the same global batch" in said.out
    cfg = RunFolder(sweep_of() / "0").read_config()
    assert batch_of(cfg).examples == batch_of(cfg).completions_per_generation == 24  # as asked for
    tries = manifest_of(0)["tries"]
    assert [(item["kind"], item["per_device_train_batch_size"]) for item in tries] == [(MEMORY, 12), (MEMORY, 6)]
    assert "trainer.per_device_train_batch_size=3" in manifest_of(0)["command"]
    assert manifest_of(0)["resumed"] == []  # begun anew: what a checkpoint holds depends on the batch
    assert sorted(path.name for path in (sweep_of() / ".tries").iterdir()) == ["0-0", "0-1"]
    assert "memory ran out at 12 × 2; memory ran out at 6 × 4; now 3 × 8" in (sweep_of() / "sweep.html").read_text()
    assert "tried before:" in said.out
    machine.tries.clear()
    again = r1lab(*sys.argv[1:])
    assert again.code == 0 and machine.tries == []  # the folder's batch is not that of the words, and is its own


def test_a_batch_of_one_cannot_be_smaller(r1lab: CommandLine, machine: Machine) -> None:
    machine.ends = {1: [OOM] * 9}
    words = ("-m", "seed=1,2", "trainer.per_device_train_batch_size=2", "trainer.gradient_accumulation_steps=8")
    said = r1lab(*words)
    assert [(seed, size) for seed, size, _ in machine.tries] == [(1, 2), (1, 1), (2, 2)]
    assert said.code == 1 and "CUDA out of memory" in said.err


def test_every_smaller_batch_keeps_the_numbers_of_a_step(r1lab: CommandLine) -> None:
    """Against TRL's own rules: its config refuses a generation batch that groups or steps do not divide."""
    for words in (
        ["trainer.per_device_train_batch_size=16", "trainer.steps_per_generation=4", "trainer.num_generations=8"],
        ["trainer.per_device_train_batch_size=9", "trainer.num_generations=9", "trainer.gradient_accumulation_steps=3"],
        ["trainer.per_device_train_batch_size=8", "global_batch_size=64", "trainer.num_generations=16"],
        ["trainer.per_device_train_batch_size=8", "trainer.generation_batch_size=128"],
    ):
        cfg = r1lab.accepts(*words)
        first = batch_of(cfg)
        while changes := smaller_batch(cfg):
            cfg = r1lab.accepts(*words, *changes)
            batch = batch_of(cfg)
            assert (batch.examples, batch.completions_per_generation) == (
                first.examples,
                first.completions_per_generation,
            )
        assert batch_of(cfg).per_device == 1


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (OOM, MEMORY),
        ("memory ran out", MEMORY),
        ("memory ran out on a node", MEMORY),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", MEMORY),
        ("the training process was killed by SIGKILL (by hand, or by the kernel because memory ran out)", MACHINERY),
        ("a node failed", MACHINERY),
        ("the server at http://10.0.0.2:8000 was not ready after 1800 seconds", MACHINERY),
        ("DistBackendError: NCCL error in: ProcessGroupNCCL.cpp", MACHINERY),
        ("[Errno 28] No space left on device: 'model.safetensors'", MACHINERY),
        ("RewardError: mine returned NaN", OWN),
        ("ValueError: the loss is not finite", OWN),
        ("KeyError: 'answer'", OWN),
    ],
)
def test_what_a_cause_means(cause: str, kind: str) -> None:
    assert fault_of(cause) == kind


TASK = """
class OutOfMemoryError(RuntimeError): pass

def run(cfg, folder):
    with open(cfg.task.count, "a") as file:
        file.write(f"{cfg.seed} {cfg.trainer.per_device_train_batch_size} {cfg.trainer.gradient_accumulation_steps}\\n")
    if cfg.seed == 1 and cfg.trainer.per_device_train_batch_size > 4:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return {"eval/mine": cfg.seed, "objective": "eval/mine"}
"""


@pytest.mark.whole
def test_in_processes_of_their_own_by_way_of_submitit(tmp_path: Path) -> None:
    (tmp_path / "conf/task").mkdir(parents=True)
    (tmp_path / "conf/trainer").mkdir()
    (tmp_path / "conf/task/mine.yaml").write_text("name: mine\n_target_: mytask.run\ncount: count.txt\n")
    (tmp_path / "conf/trainer/mine.yaml").write_text("defaults: [grpo]\n")
    (tmp_path / "mytask.py").write_text(TASK)
    command = [
        sys.executable,
        "-m",
        "r1lab",
        "--config-dir",
        "conf",
        "task=mine",
        "plugins=[mytask]",
        "accelerator=cpu",
    ]
    command += ["-m", "seed=1,2", "hydra/launcher=submitit_local", "sweep.direction=minimize"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "COLUMNS": "200"}
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    sizes = [(seed, size) for seed, size, _ in map(str.split, (tmp_path / "count.txt").read_text().splitlines())]
    assert sizes.count(("1", "4")) == sizes.count(("2", "8")) == sizes.count(("1", "8")) == 1 and len(sizes) == 3
    (sweep,) = (tmp_path / "outputs/sweeps").iterdir()
    best = json.loads((sweep / "sweep.json").read_text())["best"]
    assert (best["run"], best["metric"], best["direction"], best["value"]) == ("0", "eval/mine", "minimize", 1.0)
