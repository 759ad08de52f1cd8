"""The run's folder before the run: can it be written, and is there room."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.plan.model import parameters_of
from r1lab.wording import display

LEAST = 64 * 2**20  # metrics, completions and the page of a small run


def room_needed(cfg: DictConfig) -> int:
    """Bytes a run may write: checkpoints (weights, two Adam moments), the final model, and what is always written."""
    count = parameters_of(cfg.model)
    if not cfg.get("trainer") or not count:
        return LEAST
    kept = (cfg.trainer.get("save_total_limit") or 1) + 1
    weights, optimizer = training_bytes(count, cfg.model.dtype)
    kept_optimizer = 0 if cfg.trainer.get("save_only_model") else optimizer
    return LEAST + kept * (weights + kept_optimizer) + weights


def training_bytes(count: int, dtype: str) -> tuple[int, int]:
    """Bytes of the weights and of Adam's two moments, which torch keeps in the weights' own type."""
    each = 4 if dtype == "float32" else 2
    return count * each, 2 * count * each


def check_folder(cfg: DictConfig, run_dir: Path, where: Where = str) -> list[Finding]:
    """Whether `run_dir` can be made and written, and whether its disk has room for the run."""
    parent = run_dir
    while not parent.exists():
        parent = parent.parent
    shown = display(run_dir.parent)
    if not parent.is_dir():
        return [Finding(f"{shown} cannot be made: {display(parent)} is a file", _place(where), fix="outputs=FOLDER")]
    probe = parent / f".r1lab-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"r1lab")
        probe.unlink()
    except OSError as error:
        probe.unlink(missing_ok=True)
        what = f"{shown} cannot be written: {os.strerror(error.errno or 0)}"
        return [Finding(what, _place(where), fix="outputs=FOLDER where you may write")]
    free, needed = shutil.disk_usage(parent).free, room_needed(cfg)
    if free < needed:
        what = f"the disk of {shown} has {size(free)} free; the run may write {size(needed)}"
        fix = "outputs=FOLDER on another disk, or trainer.save_only_model=true (cannot be resumed)"
        return [Finding(what, _place(where), fix=fix)]
    return []


def _place(where: Where) -> str:
    places = [where(key) for key in ("hydra.run.dir", "hydra.sweep.dir", "outputs")]
    return next((place for place in places if place.startswith("override ")), places[-1])


def size(count: float) -> str:
    """Bytes as text."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
