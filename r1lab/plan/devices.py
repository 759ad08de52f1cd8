"""What GPUs can do: memory, arithmetic and bandwidth by name, and the memory that a run may use on each device."""

from __future__ import annotations

import csv
import subprocess
from dataclasses import dataclass
from functools import cache

from omegaconf import DictConfig

from r1lab import hardware


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU, from its maker's data sheet.

    Attributes:
        memory: GiB that the driver reports as usable.
        flops: dense bfloat16 operations per second (float16 where there is no bfloat16), without sparsity.
        bandwidth: bytes per second between its memory and its cores.
    """

    memory: float
    flops: float
    bandwidth: float


GPUS = {  # NVIDIA's data sheets; the longest name that is found in the driver's own is the one
    "b200": Gpu(179.0, 2250e12, 8.0e12),
    "h200": Gpu(139.8, 989e12, 4.8e12),
    "h100": Gpu(79.1, 989e12, 3.35e12),
    "h100 pcie": Gpu(79.1, 756e12, 2.0e12),
    "a100": Gpu(79.1, 312e12, 2.0e12),
    "a100 40gb": Gpu(39.4, 312e12, 1.55e12),
    "l40s": Gpu(44.4, 362e12, 0.864e12),
    "a10": Gpu(22.0, 125e12, 0.6e12),
    "l4": Gpu(22.0, 121e12, 0.3e12),
    "rtx 4090": Gpu(23.5, 165e12, 1.008e12),
    "v100": Gpu(31.7, 125e12, 0.9e12),
    "t4": Gpu(14.6, 65e12, 0.32e12),
}
QUERY = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]


@cache
def local_gpus() -> tuple[tuple[str, float], ...]:
    """(name, GiB) of this machine's NVIDIA GPUs, as the driver tells; empty where there are none or it does not."""
    if not hardware.gpus():
        return ()
    try:
        said = subprocess.run(QUERY, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver here: what it would say is not known
        return ()
    rows = [row for row in csv.reader(said.splitlines()) if len(row) == 2]
    return tuple((name.strip(), float(mebibytes) / 1024) for name, mebibytes in rows)


def known(name: str) -> Gpu | None:
    """The GPU of a config's or a driver's name."""
    words = name.lower().replace("-", " ").replace("_", " ")
    found = [key for key in GPUS if all(part in words for part in key.split())]
    return GPUS[max(found, key=len)] if found else None


def gpu_of(accelerator: DictConfig) -> Gpu | None:
    """The kind of GPU that a run is planned for: the declared one, else this machine's first; None where unknown."""
    if accelerator.get("gpu"):
        return known(str(accelerator.gpu))
    local = local_gpus()
    return known(local[0][0]) if local else None


def device_memory(accelerator: DictConfig) -> float | None:
    """GiB that one training process may use: of its GPU, or of the machine on a CPU; None where unknown."""
    if accelerator.device == "cpu":
        return hardware.usable_memory_gb()
    if accelerator.get("gpu_memory"):
        return float(accelerator.gpu_memory)
    if accelerator.get("gpu"):
        gpu = gpu_of(accelerator)
        return gpu.memory if gpu else None
    return min((memory for _, memory in local_gpus()), default=None)
