"""What a run's process finds in its environment, and running in place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from r1lab.launch.environment import environment
from r1lab.launch.local import launch
from r1lab.notebook import compose, run
from r1lab.processes import PARENT
from tests.conftest import SMALL

LEFT_OVER = {
    "RANK": "3",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "8",
    "MASTER_ADDR": "elsewhere",
    "MASTER_PORT": "1",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "FSDP_VERSION": "2",
    "TORCHELASTIC_RUN_ID": "x",
    "OMPI_COMM_WORLD_RANK": "1",
    "HYDRA_FULL_ERROR": "1",
    "R1LAB_SERVER": "http://elsewhere:8000",
    "R1LAB_SERVING": "/elsewhere",
}


@pytest.fixture
def cfg(workplace: Path) -> DictConfig:
    """A run of the user's own task."""
    found = compose("task=mine", "plugins=[mytasks]", *SMALL, config_dir=workplace / "conf")
    found.debug = False
    return found


def test_what_another_launch_left_is_scrubbed(cfg: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEFT_OVER.items():
        monkeypatch.setenv(name, value)
    own = {
        "MY_TOKEN": "secret",
        "RANKER_KEY": "secret",
        "MASTER_PORTAL": "http://mine",
        "SLURM_CONF": "/etc/slurm.conf",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    env = environment(cfg)
    assert not LEFT_OVER.keys() & env.keys()
    assert own.items() <= env.items()
    assert env["HF_HUB_DISABLE_TELEMETRY"] == "1" and env["TOKENIZERS_PARALLELISM"] == "false"


def test_threads_device_and_hub(cfg: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert environment(cfg)["OMP_NUM_THREADS"] == "7"  # the user's word counts, the config's more
    cfg.accelerator.threads = 3
    assert environment(cfg)["OMP_NUM_THREADS"] == "3"
    assert environment(cfg)["CUDA_VISIBLE_DEVICES"] == ""
    cfg.accelerator.device = "cuda"
    assert environment(cfg)["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert environment(cfg)["HF_HUB_OFFLINE"] == "1"
    cfg.model.build, cfg.model.repo = None, "org/name"
    assert "HF_HUB_OFFLINE" not in environment(cfg)
    monkeypatch.delenv("OMP_NUM_THREADS")
    cfg.accelerator.threads = None
    assert int(environment(cfg)["OMP_NUM_THREADS"]) >= 1


def test_the_workers_environment_is_that_and_no_more(
    cfg: DictConfig, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "3")
    found = launch(cfg, workplace / "run")
    seen: dict[str, Any] = found["environment"]
    assert "RANK" not in seen and PARENT not in seen
    assert seen["PYTHONPATH"].split(os.pathsep)[0] == str(workplace)
    assert found["pid"] != os.getpid()


def test_debug_runs_in_place(cfg: DictConfig, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setenv("RANK", "3")
    before = dict(os.environ)
    cfg.debug = True
    found = run(cfg, workplace / "run")
    assert found["pid"] == os.getpid() and found["folder"] == str(workplace / "run")
    assert "RANK" not in found["environment"] and found["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert dict(os.environ) == before  # the notebook's next run may be on a GPU
