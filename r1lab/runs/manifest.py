"""`manifest.json`: what ran, from which code, on what, and how it ended."""

from __future__ import annotations

import datetime
import platform
import shlex
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.hardware import cores, gpus, memory_gb
from r1lab.runs.folder import RunFolder
from r1lab.runs.states import RUNNING
from r1lab.runs.sweeps import SweepLedger

PACKAGES = (
    "r1lab",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "tokenizers",
    "math-verify",
    "hydra-core",
)


def now() -> str:
    """The current time, ISO 8601 with its offset."""
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Versions of the packages a run's numbers depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and dirtiness of the checkout around a folder; None outside one."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}


def start(folder: RunFolder, cfg: DictConfig, typed: str = "") -> None:
    """Write the manifest of a run that begins, or add a resumption to the one that is there."""
    manifest = folder.read_json("manifest.json")
    tries = SweepLedger(folder.path.parent).tries(folder.path.name)
    if manifest:
        resumed = [*manifest.get("resumed", []), now()]
        host = socket.gethostname()
        manifest.update(resumed=resumed, status=RUNNING, host=host, cause=None, ended=None, exit=None, tries=tries)
        folder.write_json("manifest.json", manifest)
        return
    folder.write_json(
        "manifest.json",
        {
            "command": typed
            or shlex.join([sys.executable, "-m", "r1lab.launch.worker", str(folder.path / "run.yaml")]),
            "git": git_state(Path.cwd()),
            "versions": versions(),
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "hardware": {"cpu": cpu_name(), "cores": cores(), "memory_gb": round(memory_gb(), 1), "gpus": gpus()},
            "seed": cfg.seed,
            "started": now(),
            "ended": None,
            "status": RUNNING,
            "cause": None,
            "exit": None,
            "resumed": [],
            "tries": tries,
        },
    )


def cpu_name() -> str:
    """The processor's model name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def add(folder: RunFolder, **facts: Any) -> None:
    """Add facts that become known during the run (dataset fingerprint, model parameters)."""
    folder.write_json("manifest.json", {**folder.read_json("manifest.json"), **facts})


def end(folder: RunFolder, status: str, code: int, cause: str | None = None) -> None:
    """Write how the run ended."""
    add(folder, status=status, exit=code, cause=cause, ended=now())
