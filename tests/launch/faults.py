"""A task whose training processes end in every way; they do not load torch."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import DataError
from r1lab.runs.folder import RunFolder


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Do what `task.how` says, once all processes are there."""
    rank, world, how = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)), cfg.task.how
    (folder.path / f"started-{rank}").write_text(str(os.getpid()))
    wait_for([folder.path / f"started-{other}" for other in range(world)])
    if how == "well":
        folder.append("metrics.jsonl", [{"step": 1, "rank": rank}])
        return {"rank": rank, "environment": dict(os.environ), "server": cfg.trainer.get("vllm_server_base_url")}
    if how == "all refuse":
        raise DataError("the file is empty")
    who, _, what = how.partition(" ")
    if rank != int(who):
        bystander(cfg, folder, int(who))
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raises":
        raise RuntimeError("the loss is gone")
    if what == "ends":
        os._exit(7)
    time.sleep(60)
    return {}


def bystander(cfg: DictConfig, folder: RunFolder, who: int) -> None:
    """Notice, as a connection does, that the other process is gone; or hang in a call that hears no signal."""
    if cfg.task.bystander == "hangs":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        time.sleep(60)
    pid = int((folder.path / f"started-{who}").read_text())
    while alive(pid):
        time.sleep(0.002)
    raise ConnectionResetError(104, "Connection reset by peer")


def wait_for(paths: list[Path]) -> None:
    while not all(path.exists() and path.read_text() for path in paths):
        time.sleep(0.01)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
