"""Programs, the sandbox's container, Slurm, memory and disks of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab import hardware
from r1lab.doctor.check import MISSING, OK, WARNING, Check, there
from r1lab.plan.folder import room_needed, size
from r1lab.plan.memory import GIB, memory_of
from r1lab.plan.setup import setup_of

SLURM = ("sbatch", "srun", "squeue", "scontrol", "sacct")
SHARED_LEAST = 1 * GIB  # /dev/shm that NCCL, data loaders and vLLM want
TRY = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
ADVICE = "allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0), or sandbox=piston"


def check_programs(cfg: DictConfig) -> list[Check]:
    """Compilers, bubblewrap and whether it starts, Slurm's commands."""
    local = runs_programs(cfg) and cfg.sandbox.get("name") == "local"
    offload = cfg.accelerator.get("offload", False)
    compiles = local and _languages(cfg, "cpp")
    checks = [
        there("g++", found("g++"), _path("g++"), "apt install g++", compiles or bool(offload)),
        there(
            "nvcc",
            found("nvcc"),
            _path("nvcc"),
            "CUDA's toolkit: DeepSpeed builds its offloading Adam with it",
            bool(offload),
        ),
    ]
    if not hardware.gpus() and not offload:
        checks = checks[:1]  # nothing here would be built for a GPU
    return [*checks, _bubblewrap(local), _slurm(cfg)]


def runs_programs(cfg: DictConfig) -> bool:
    """Whether a chosen reward runs the completions' programs."""
    return any("sandbox" in reward for reward in (cfg.get("reward") or {}).values() if reward)


def _languages(cfg: DictConfig, language: str) -> bool:
    rewards: dict[str, Any] = dict(cfg.get("reward") or {})
    return bool({"ioi_code", "cf_code"} & set(rewards)) or any(
        str(reward.get("language")) == language for reward in rewards.values() if reward
    )


def found(program: str) -> bool:
    """Whether a program is on the path."""
    return shutil.which(program) is not None


def _path(program: str) -> str:
    return shutil.which(program) or "not found"


def _bubblewrap(needed: bool) -> Check:
    """Whether bubblewrap is there and a container of it starts, which user namespaces or root allow."""
    if not found("bwrap"):
        return there("bubblewrap", False, "not found", "apt install bubblewrap, or sandbox=piston", needed)
    try:
        tried = subprocess.run(TRY, capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        return there("bubblewrap", False, "did not start within 5 s", ADVICE, needed)
    lines = tried.stderr.strip().splitlines()
    starts = tried.returncode == 0
    return there("bubblewrap", starts, "starts" if starts else (lines or ["does not start"])[-1], ADVICE, needed)


def _slurm(cfg: DictConfig) -> Check:
    here = [name for name in SLURM if found(name)]
    cluster = cfg.get("cluster") or {}
    needed = str(cluster.get("name") or "local") not in ("local", "none")
    if here == list(SLURM):
        return Check("Slurm", OK, "its commands are here")
    absent = ", ".join(name for name in SLURM if name not in here)
    if not here and not needed:
        return Check("Slurm", OK, "not here, and not asked for")
    return there("Slurm", False, f"no {absent}", "run on a login node of the cluster", needed)


def check_memory(cfg: DictConfig) -> list[Check]:
    """The machine's memory against the plan's, and what processes share of it."""
    has, setup = hardware.usable_memory_gb(), setup_of(cfg)
    checks = [Check("memory", OK, f"{has:.1f} GiB")]
    if setup is not None and setup.on_cpu:
        need = memory_of(setup).total / GIB
        if need > has:
            checks = [Check("memory", MISSING, f"{has:.1f} GiB; the run needs {need:.0f}", "a smaller model or batch")]
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        several = cfg.accelerator.processes > 1 or cfg.engine.name == "vllm"
        todo = "docker run --shm-size=16g, or --ipc=host"
        checks.append(there("/dev/shm", free >= SHARED_LEAST, f"{size(free)} free", todo, several))
    return checks


def check_disks(cfg: DictConfig) -> list[Check]:
    """Room for the run's folder and for the model in the Hub's cache."""
    setup = setup_of(cfg)
    weights = setup.shape.total * setup.weight if setup and cfg.model.get("repo") and not cfg.model.get("path") else 0
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    name = str(cfg.model.get("repo")).replace("/", "--")
    cached = (cache / f"models--{name}" / "snapshots").is_dir()
    return [
        _disk("disk for outputs", Path(cfg.outputs), room_needed(cfg), "outputs=FOLDER on another disk"),
        _disk("disk for the Hub's cache", cache, 0 if cached else weights, "HF_HOME=FOLDER on another disk"),
    ]


def _disk(name: str, folder: Path, needed: float, todo: str) -> Check:
    existing = folder.resolve()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    said = f"{size(free)} free" + (f", {size(needed)} needed" if needed else "")
    if not os.access(existing, os.W_OK):
        return Check(name, MISSING, f"{existing} cannot be written", todo)
    state = MISSING if free < needed else WARNING if free < 1.2 * needed else OK
    return Check(name, state, said, "" if state == OK else todo)
