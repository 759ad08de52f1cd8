"""task=compare: two evaluations, paired by problem; the difference of each benchmark that both have."""

from __future__ import annotations

import shlex
from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import ConfigError, DataError, Finding
from r1lab.evaluation.comparing import compare
from r1lab.evaluation.records import Record
from r1lab.evaluation.result import kept_records
from r1lab.runs.folder import RunFolder
from r1lab.terminal import terminal
from r1lab.wording import plural


def run(cfg: DictConfig) -> None:
    """Compare the first of `task.runs` with the second.

    Raises:
        ConfigError: there are not two, or one measured a benchmark and the other a dataset of its name.
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
    for name in both:
        refuse_two_kinds(name, runs, ours[name], theirs[name])
    console = terminal()
    for name in both:
        console.print(compare(ours[name], theirs[name]).sentence(), markup=False)
    for name in ours.keys() ^ theirs.keys():
        console.print(f"{name}: only one of the two has it", markup=False)


def refuse_two_kinds(name: str, runs: list[str], ours: Record, theirs: Record) -> None:
    """Refuse a benchmark and a dataset's held-out rows that share a name and no problem.

    Raises:
        ConfigError: naming the run that measured the dataset, and what measures the benchmark instead.
    """
    if {problem.id for problem in ours.problems} & {problem.id for problem in theirs.problems}:
        return
    of_dataset = [run for run in runs if not measured_benchmark(run)]
    if len(of_dataset) != 1:
        return
    (run,) = of_dataset
    (other,) = [item for item in runs if item != run]
    what = (
        f"{name} is a benchmark in {other} and the held-out rows of the dataset {name} in {run}: they share no problem"
    )
    model = RunFolder(run).read_config(("task", "model.path", "model.name")).model
    words = f"model.path={shlex.quote(str(model.path))}" if model.path else f"model={model.name}"
    fix = f"python -m r1lab task=eval benchmark={name} {words}, and compare that run with {other}"
    raise ConfigError([Finding(what, f"task.runs=[{','.join(runs)}]", fix=fix)])


def measured_benchmark(run: str) -> bool:
    """Whether a run measured benchmarks; one whose settings are gone is taken for such a one."""
    folder = RunFolder(run)
    return not (folder.path / "run.yaml").is_file() or bool(folder.read_config().get("benchmark"))
