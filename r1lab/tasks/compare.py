"""task=compare: two evaluations, paired by problem; the difference of each benchmark that both have."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from r1lab.errors import DataError
from r1lab.evaluation.comparing import compare
from r1lab.evaluation.result import kept_records


def run(cfg: DictConfig) -> None:
    """Compare the evaluation of `task.run` with that of `task.against`.

    Raises:
        DataError: one of them is none, or they have no benchmark in common.
    """
    ours, theirs = kept_records(Path(cfg.task.run)), kept_records(Path(cfg.task.against))
    both = [name for name in ours if name in theirs]
    if not both:
        told = f"{cfg.task.run} has {', '.join(ours)}; {cfg.task.against} has {', '.join(theirs)}"
        raise DataError(f"the two evaluations have no benchmark in common: {told}")
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for name in both:
        console.print(compare(ours[name], theirs[name]).sentence(), markup=False)
    for name in ours.keys() ^ theirs.keys():
        console.print(f"{name}: only one of the two has it", markup=False)
