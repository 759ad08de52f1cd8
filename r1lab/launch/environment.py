"""The environment of a run's processes: this one's, without what another launch left, and with quiet, fair threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from r1lab.hardware import cores
from r1lab.launch import GIVEN, OWN

SCRUBBED = (  # another launch's ranks and settings
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "HYDRA_FULL_ERROR",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NODE_RANK",
    "RANK",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING",
    "WORLD_SIZE",
    *OWN,  # of a run that this one was started from: its server is not this one's
)
BEGINNINGS = (  # of the names of others
    "ACCELERATE_",
    "FSDP_",
    "OMPI_",
    "PMI_",
    "PMI2_",
    "PMIX_",
    "ROLE_",
    "SBATCH_",
    "SLURM_",
    "SLURMD_",
    "SRUN_",
    "SUBMITIT_",
    "TORCHELASTIC_",
)
KEPT = ("SLURM_CONF",)  # where the cluster is, for jobs that are submitted from within a job


def scrubbed() -> dict[str, str]:
    """This process's environment without another launch's words."""
    others = {key for key in os.environ if key in SCRUBBED or key.startswith(BEGINNINGS)} - {*KEPT}
    return {key: value for key, value in os.environ.items() if key not in others}


def environment(cfg: DictConfig, processes: int = 1) -> dict[str, str]:
    """The environment of a run's processes.

    Args:
        cfg: the resolved config.
        processes: training processes of this node, which share its cores.
    """
    env = scrubbed()
    threads = str(cfg.accelerator.threads or max(1, cores() // processes))
    quiet = {
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads slow each other down by up to 20 times
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    before, env = env, {**quiet, **env}
    if cfg.accelerator.threads:
        env["OMP_NUM_THREADS"] = threads
    if cfg.accelerator.device == "cpu":
        env |= {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    pushes = cfg.get("hub") and cfg.hub.name != "none"
    fetches = on_a_hub(cfg.dataset) or cfg.task.get("against")
    if not fetches and (cfg.model.path or cfg.model.build) and not pushes:
        env["HF_HUB_OFFLINE"] = "1"  # nothing of this run is on a hub: never wait for one
    env[GIVEN] = " ".join(sorted(name for name in env if env[name] != before.get(name)))
    paths = [str(Path.cwd()), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return env


def visible(devices: tuple[int, ...]) -> str:
    """`CUDA_VISIBLE_DEVICES` for some of the GPUs that this process sees, given by their place among them."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [item.strip() for item in listed.split(",")] if listed else []
    return ",".join(names[device] if device < len(names) else str(device) for device in devices)


def on_a_hub(dataset: DictConfig) -> bool:
    """Whether a dataset, or one of a mixture, may have to be fetched."""
    entries = dataset.get("datasets") or []
    return bool(dataset.get("repo")) or any(entry.get("id") or entry.get("name") for entry in entries)


@contextmanager
def environment_as(env: dict[str, str]) -> Iterator[None]:
    """Another environment for this process, and then its own again."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
