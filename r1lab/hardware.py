"""What this machine has, learnt without importing torch."""

from __future__ import annotations

import os
from pathlib import Path


def gpus() -> int:
    """NVIDIA GPUs that a process started here would see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([item for item in visible.split(",") if item.strip() not in ("", "-1")])
    return len([item for item in Path("/dev").glob("nvidia*") if item.name.removeprefix("nvidia").isdigit()])


def cores() -> int:
    """CPU cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Physical memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def usable_memory_gb() -> float:
    """Memory in GiB that this process may use: the machine's, or less where its container has a limit."""
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    said = [file.read_text().strip() for file in limits if file.is_file()]
    return min([memory_gb(), *(int(text) / 2**30 for text in said if text.isdigit())])
