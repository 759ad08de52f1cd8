"""distilabel's pipeline on Ray: its steps are actors. One that dies ends the work; distilabel would wait for it.

Ray is joined once, and actors are made once, for all pipelines of a process: a second `ray.init` fails, and an actor
imports distilabel for seconds. They take no processor of the cluster's, since all they do is wait for a server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ray
from distilabel.pipeline.base import set_pipeline_running_env_variables
from distilabel.pipeline.ray import RayPipeline
from distilabel.pipeline.step_wrapper import _StepWrapper
from distilabel.utils.logging import setup_logging

OnDeath = Callable[[str], None]
FIX = "start it; where it asks for a token, RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE in the environment"
actors: list[Any] = []  # of this process: they have imported what they need, and serve the next pipeline as well


class NoRay(Exception):
    """No Ray answers at an address."""


class Actor:
    """One copy of a step."""

    def run(self, wrapper: Any, log_queue: Any, pipeline: str, signature: str) -> None:
        """Work until there is no more."""
        setup_logging(log_queue=log_queue)
        set_pipeline_running_env_variables(pipeline, signature)
        wrapper.run()


class WatchedPipeline(RayPipeline):
    """A pipeline that tells of an actor's death.

    Args:
        on_death: given a step's name and the cause, in a thread.
    """

    def __init__(self, name: str, cache_dir: Any, on_death: OnDeath):
        super().__init__(name=name, cache_dir=cache_dir)
        self.on_death = on_death
        self.copies = 0

    def _run_step(self, step: Any, input_queue: Any, replica: int) -> None:
        wrapper = _StepWrapper(
            step=step,
            replica=replica,
            input_queue=input_queue,
            output_queue=self._output_queue,
            load_queue=self._load_queue,
            dry_run=self._dry_run,
            ray_pipeline=True,
        )
        if self.copies == len(actors):
            actors.append(ray.remote(num_cpus=0)(Actor).remote())
        working = actors[self.copies].run.remote(wrapper, self._log_queue, self.name, self.signature)
        self.copies += 1
        threading.Thread(target=self._watch, args=(working, step.name), daemon=True).start()

    def _watch(self, working: Any, name: str) -> None:
        try:
            ray.get(working)
        except ray.exceptions.RayError as error:
            self.on_death(f"{name} on Ray: {error}")


def join(address: str) -> None:
    """Start a Ray here ("local"), or join the cluster at an address ("auto": the one that runs here already).

    Raises:
        NoRay: no cluster is there, or it asks for a token.
    """
    if ray.is_initialized():
        return
    new: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, **new)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        raise NoRay(f"no Ray answers at generator.ray={address}\n    fix      {FIX}\n{error}") from error
