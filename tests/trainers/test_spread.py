"""Training in two processes against training in one: the same batch, the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.runs.folder import RunFolder
from tests.trainers import spread_task

KINDS = ("ddp", "zero1", "zero2", "zero3")
# Sums of a few hundred float32 terms in another order differ by some 1e-7 of their size; five AdamW steps, which divide
# by the gradient's own size, may widen that tenfold.
LOSS_TOLERANCE = 2e-6
GRADIENT_TOLERANCE = 1e-6  # of the largest entry of the same gradient


def config(processes: int, small: tuple[str, ...], kinds: tuple[str, ...]) -> DictConfig:
    cfg = resolve(compose(*small, f"accelerator.processes={processes}"))
    cfg.task = OmegaConf.create({"name": "spread", "_target_": "tests.trainers.spread_task.run", "kinds": list(kinds)})
    return cfg


@pytest.fixture(scope="module")
def found(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By kind: losses and gradients, of one process and of two."""
    alone, pair = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("pair")
    run_yaml = RunFolder(pair).write_config(config(2, small, KINDS))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "r1lab.launch.node", str(run_yaml)]
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    cfg = config(1, small, ("ddp",))
    cfg.accelerator.threads = int(os.environ["OMP_NUM_THREADS"])
    spread_task.run(cfg, RunFolder(alone))
    said, _ = child.communicate(timeout=280)
    assert child.returncode == 0, said + (pair / "run.log").read_text()[-3000:]
    return {"alone": torch.load(alone / "found.pt")["ddp"], **torch.load(pair / "found.pt")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_those_of_one_process(found: dict[str, Any], kind: str) -> None:
    assert len(found[kind]["losses"]) == 5 and len(set(found[kind]["losses"])) == 5
    assert found[kind]["losses"] == pytest.approx(found["alone"]["losses"], abs=LOSS_TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_of_the_same_completions_are_those_of_one_process(found: dict[str, Any], kind: str) -> None:
    wanted = found["alone"]["gradients"]
    assert wanted.keys() == found[kind]["gradients"].keys()
    for name, gradient in wanted.items():
        size = gradient.abs().max()
        assert size > 1e-5, name
        assert (found[kind]["gradients"][name] - gradient).abs().max() <= GRADIENT_TOLERANCE * size, name
