"""r1lab's own evaluator: samples on the run's engine, kept in the store, judged by each benchmark's scorer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from r1lab.evaluation.records import Record


def evaluate(cfg: DictConfig, folder: Path) -> Iterator[Record]:
    """The record of every benchmark of the run, in their order, each as soon as it is whole.

    Args:
        cfg: the resolved config of a run.
        folder: the run's.
    """
    raise NotImplementedError
    yield
