"""Where Hydra looks for launchers; r1lab's own is `r1lab.launch.slurm`, imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """`hydra/launcher=submitit_slurm`: every run of a sweep is a task of a Slurm job array."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from r1lab.launch.slurm import launch  # Hydra imports every plugin at every start

        return launch(self.config, job_overrides, initial_job_idx)
