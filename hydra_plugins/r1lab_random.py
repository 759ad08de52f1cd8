"""Where Hydra looks for sweepers: `hydra/sweeper=random`, whose draws are `r1lab.plan.draws`."""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RandomSweeper(Sweeper):
    """Random search: `trials` runs whose values are drawn from ranges and lists, all handed to the launcher at once."""

    def __init__(self, trials: int, seed: int):
        self.trials, self.seed = trials, seed

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from r1lab.plan.draws import draws  # Hydra imports every plugin at every start

        jobs = draws(arguments, self.trials, self.seed)
        assert self.launcher is not None
        return [self.launcher.launch(jobs, initial_job_idx=0)]
