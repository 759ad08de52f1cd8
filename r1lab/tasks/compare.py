"""task=compare: two evaluations, paired by problem; the difference of each benchmark that both have."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import ConfigError, DataError, Finding
from r1lab.evaluation.comparing import compare
from r1lab.evaluation.result import kept_records
from r1lab.terminal import terminal
from r1lab.wording import plural


def run(cfg: DictConfig) -> None:
    """Compare the first of `task.runs` with the second.

    Raises:
        ConfigError: there are not two.
        DataError: one of them is no evaluation, or they have no benchmark in common.
    """
    runs = list(cfg.task.runs)
    if len(runs) != 2:
        raise ConfigError([Finding(f"task.runs names {plural(len(runs), 'run')}", "task.runs", fix="task.runs=[A,B]")])
    ours, theirs = (kept_records(Path(run)) for run in runs)
    both = [name for name in ours if name in theirs]
    if not both:
        told = f"{runs[0]} has {', '.join(ours)}; {runs[1]} has {', '.join(theirs)}"
        raise DataError(f"the two evaluations have no benchmark in common: {told}")
    console = terminal()
    for name in both:
        console.print(compare(ours[name], theirs[name]).sentence(), markup=False)
    for name in ours.keys() ^ theirs.keys():
        console.print(f"{name}: only one of the two has it", markup=False)
