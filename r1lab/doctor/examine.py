"""All checks of a config, one after another."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.doctor.check import Check
from r1lab.doctor.evaluators import check_lighteval
from r1lab.doctor.machine import check_disks, check_memory, check_programs
from r1lab.doctor.services import check_logins
from r1lab.doctor.versions import check_gpu, check_packages


def examine(cfg: DictConfig) -> list[Check]:
    """Every check, in the order of the table; imports no training library and asks no network."""
    return [
        *check_packages(cfg),
        *check_gpu(cfg),
        check_lighteval(cfg),
        *check_programs(cfg),
        *check_memory(cfg),
        *check_disks(cfg),
        *check_logins(cfg),
    ]
