"""Installed packages and whether they fit each other, from their metadata alone; the GPU's driver and torch's build."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib import metadata

from omegaconf import DictConfig
from packaging.requirements import Requirement
from packaging.version import Version

from r1lab import hardware
from r1lab.config.source import locate
from r1lab.doctor.check import MISSING, OK, WARNING, Check, there
from r1lab.plan.packages import install_line, installed, needed

CORE = ("torch", "transformers", "trl", "accelerate", "datasets", "hydra-core", "omegaconf", "math-verify")
MATCHED = (*CORE, "vllm", "flash-attn", "deepspeed", "peft", "bitsandbytes", "liger-kernel", "kernels")


def check_packages(cfg: DictConfig) -> list[Check]:
    """Python, the core packages, what the config needs besides, and every requirement among them that is not met."""
    present = {name: version for name in MATCHED if (version := version_of(name))}
    checks = [Check("python", OK, platform.python_version())]
    for name in CORE:
        checks.append(there(name, name in present, present.get(name, "not installed"), "pip install r1lab", True))
    for module, key in needed(cfg).items():
        found = "installed" if installed(module) else f"not installed; {key} needs it"
        checks.append(there(module, installed(module), found, install_line(module), True))
    return checks + [unmet for name in ("r1lab", *present) for unmet in _unmet(name, present)]


def version_of(distribution: str) -> str:
    """The installed version; "" where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # the answer to the question
        return ""


def _unmet(name: str, present: dict[str, str]) -> list[Check]:
    """The requirements of a package on others of ours that their versions do not meet.

    TRL states its versions of vLLM and others as extras of the same name; those count where the other is installed.
    """
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # a checkout that was never installed states nothing
        return []
    found = []
    for requirement in dict.fromkeys(map(Requirement, lines)):
        other = requirement.name.lower()
        if other not in present or not _applies(requirement, other):
            continue
        if not requirement.specifier.contains(Version(present[other]).base_version, prereleases=True):
            what = f"{other} {present[other]}; {name} {present.get(name, '')} wants {requirement.specifier}"
            todo = f'pip install "{other}{requirement.specifier}"'
            found.append(Check(f"{name} with {other}", WARNING, what.replace("  ", " "), todo))
    return found


def _applies(requirement: Requirement, other: str) -> bool:
    if requirement.marker is None:
        return True
    extras = {
        "",
        other,
        other.replace("-", "_"),
        {"bitsandbytes": "quantization", "liger-kernel": "liger"}.get(other, ""),
    }
    return any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def torch_cuda() -> str | None:
    """The CUDA version that torch was built for, from its sources' text; None for a CPU build or without torch."""
    file = locate("torch.version")
    match = re.search(r"^cuda[^=]*=\s*'([\d.]+)'", file.read_text(encoding="utf-8"), re.MULTILINE) if file else None
    return match.group(1) if match else None


def driver_cuda() -> str | None:
    """The newest CUDA version that the GPU's driver runs; None where there is no driver."""
    try:
        said = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver here
        return None
    match = re.search(r"CUDA Version:\s*([\d.]+)", said)
    return match.group(1) if match else None


def check_gpu(cfg: DictConfig) -> list[Check]:
    """GPUs against what the config asks for, and torch's build against the driver."""
    accelerator, count = cfg.accelerator, hardware.gpus()
    wanted = accelerator.gpus if accelerator.device == "cuda" else 0
    todo = "accelerator=cpu, or run where the GPUs are"
    found = f"{count} visible" + (f", {wanted} asked for" if wanted else "")
    checks = [Check("GPUs", OK if count >= wanted else MISSING, found, "" if count >= wanted else todo)]
    built = torch_cuda()
    build = f"built for CUDA {built}" if built else "built for the CPU"
    if not count:
        return [*checks, Check("torch's build", OK, build)]
    if not built:
        todo = "pip install torch from the CUDA index that pytorch.org names"
        return [*checks, Check("torch's build", MISSING if wanted else WARNING, build, todo)]
    driver = driver_cuda()
    if driver is None:
        return [*checks, Check("GPU driver", MISSING, "nvidia-smi does not answer", "install NVIDIA's driver")]
    fits = int(driver.partition(".")[0]) >= int(
        built.partition(".")[0]
    )  # within a major version, minor ones are compatible
    todo = "" if fits else f"a driver for CUDA {built}, or torch built for CUDA {driver}"
    return [*checks, Check("torch's build", OK if fits else MISSING, f"{build}; driver runs {driver}", todo)]
