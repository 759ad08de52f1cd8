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

pytestmark = pytest.mark.whole

KINDS = [("ddp", "zero2", "zero3"), pytest.param(("zero1",), marks=pytest.mark.slow)]  # those of a tuple share a start
# Sums of a few hundred float32 terms in another order differ by some 1e-7 of their size; five AdamW steps, which divide
# by the gradient's own size, may widen that tenfold.
LOSS_TOLERANCE = 2e-6
GRADIENT_TOLERANCE = 1e-6  # of the largest entry of the same gradient


def config(processes: int, small: tuple[str, ...], kinds: tuple[str, ...]) -> DictConfig:
    cfg = resolve(compose(*small, f"accelerator.processes={processes}"))
    cfg.task = OmegaConf.create({"name": "spread", "_target_": "tests.trainers.spread_task.run", "kinds": list(kinds)})
    return cfg


@pytest.fixture(scope="module", params=KINDS, ids=" ".join)
def found(
    request: pytest.FixtureRequest, small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """By kind: losses and gradients, of two processes; and those of one as "alone"."""
    alone, pair = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("pair")
    run_yaml = RunFolder(pair).write_config(config(2, small, request.param))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "r1lab.launch.node", str(run_yaml)]
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    cfg = config(1, small, ("ddp",))
    cfg.accelerator.threads = int(os.environ["OMP_NUM_THREADS"])
    spread_task.run(cfg, RunFolder(alone))
    said, _ = child.communicate(timeout=280)
    assert child.returncode == 0, said + (pair / "run.log").read_text()[-3000:]
    return {"alone": torch.load(alone / "found.pt")["ddp"], **torch.load(pair / "found.pt")}


def test_the_losses_are_those_of_one_process(found: dict[str, Any]) -> None:
    for kind, item in found.items():
        assert len(item["losses"]) == 5 and len(set(item["losses"])) == 5, kind
        assert item["losses"] == pytest.approx(found["alone"]["losses"], abs=LOSS_TOLERANCE), kind


def test_the_gradients_of_the_same_completions_are_those_of_one_process(found: dict[str, Any]) -> None:
    wanted = found["alone"]["gradients"]
    for kind, item in found.items():
        assert wanted.keys() == item["gradients"].keys(), kind
        for name, gradient in wanted.items():
            size = gradient.abs().max()
            assert size > 1e-5, name
            assert (item["gradients"][name] - gradient).abs().max() <= GRADIENT_TOLERANCE * size, (kind, name)
