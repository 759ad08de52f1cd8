"""task=model_card: an evaluation's results in the form of the Hub's model cards, printed or pushed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from r1lab.errors import DataError
from r1lab.evaluation.result import kept_results
from r1lab.hub.results import export, model_index
from r1lab.runs.folder import RunFolder


def run(cfg: DictConfig) -> None:
    """Print the metadata of `task.run`'s results, or write it into the card of `hub.repo`.

    Raises:
        ResumeError: the folder holds no run's config.
        DataError: the run left no results.
        HubError: the Hub cannot be reached, or refuses.
    """
    folder = RunFolder(Path(cfg.task.run))
    own = folder.read_config(("task", "model.repo", "model.name"))
    results = [{**result, "dataset": source_of(own, result["benchmark"])} for result in kept_results(folder.path)]
    if not results:
        raise DataError(f"{folder.path} holds no results of a benchmark, which task=eval leaves")
    if cfg.hub.repo:
        print(export(str(cfg.hub.repo), results, str(cfg.hub.revision), int(cfg.hub.retries)))
        return
    name = str(own.model.repo or own.model.name).rpartition("/")[2]
    print(yaml.safe_dump(model_index(name, results), sort_keys=False, allow_unicode=True), end="")


def source_of(own: DictConfig, benchmark: str) -> dict[str, Any]:
    """Which data a result is of, by the run's own config."""
    said = (own.get("benchmark") or {}).get(benchmark) or {}
    return {key: said.get(key) for key in ("repo", "config", "split", "revision")}
