"""What a notebook imports: `compose` and `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from r1lab.config.compose import compose_words, run_dir, session
from r1lab.errors import ConfigError, Finding
from r1lab.launch.local import launch
from r1lab.plan.checks import require
from r1lab.plan.cluster import with_cluster
from r1lab.plan.request import plan_fresh
from r1lab.plan.words import check_words, finding_of


def compose(*overrides: str, config_dir: str | Path | None = None) -> DictConfig:
    """Compose one run, as the command line would, without running it.

    Args:
        overrides: the words of a command line: `compose("task=sft", "trainer.max_steps=10")`.
        config_dir: a folder with config groups of your own, as `--config-dir`.

    Returns:
        The config; change it as you like before `run`.

    Raises:
        ConfigError: with every word that does not fit.
    """
    words = with_cluster(overrides)
    with session(config_dir):
        findings = check_words(words)
        if findings:
            raise ConfigError(findings)
        try:
            return compose_words(words)[0]
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError([finding_of(error)]) from error


def run(cfg: DictConfig, folder: str | Path | None = None) -> dict[str, Any]:
    """Plan and run a composed config in a process of its own, and wait for it.

    Args:
        cfg: as `compose` returns it.
        folder: the run's folder; a new one under `cfg.outputs` if not given. One that holds this run is resumed.

    Returns:
        The run's final metrics, with its folder as `folder`.

    Raises:
        ConfigError: something speaks against the run.
        RunError: it failed; the message is the cause.
    """
    where = Path(folder) if folder else Path(run_dir(cfg.resume, cfg.outputs, cfg.name))
    plan = require(plan_fresh(cfg, where, ()))
    if plan.cfg.task.get("folder") is False:
        raise ConfigError(
            [Finding(f"task={plan.cfg.task.name} writes no folder to run in", fix="call it from a shell")]
        )
    return {**launch(plan.cfg, plan.run_dir), "folder": str(plan.run_dir)}
