"""The stages of a pipeline as jobs of Slurm's queue, each waiting for those that it takes something from."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape

from r1lab.errors import RunError
from r1lab.launch import failed_runs
from r1lab.launch.slurm import require_accepted, say_look, wait, write_run, write_scripts
from r1lab.plan.pipeline import LEFT, SKIPPED, Pipeline, Planned
from r1lab.runs.ledger import turn
from r1lab.runs.states import FINISHED
from r1lab.slurm.record import Submitted, hand_over
from r1lab.slurm.states import under_way
from r1lab.wording import display, plural


def submit_all(cfg: DictConfig, pipeline: Pipeline, out: Console) -> None:
    """Submit what is to be run and is not in the queue already, and wait for all of it where `cluster.wait` says so.

    Raises:
        ConfigError: Slurm refuses a job: nothing was queued.
        SlurmError: Slurm does not answer.
    """
    with turn(pipeline.stages[0].folder.parent):  # another pipeline may share the stages
        waiting = queue(pipeline, out)
    say_look(display(pipeline.folder))
    if not cfg.cluster.wait or not waiting:
        return
    ended = wait(waiting)
    failed_runs.extend(RunError(f"{display(item.run)}: {item.why}") for item in ended if item.state != FINISHED)


def queue(pipeline: Pipeline, out: Console) -> list[Submitted]:
    """Submit what is to be run and is not in the queue already; the jobs of both.

    Raises:
        ConfigError: Slurm refuses a job: nothing was queued.
        SlurmError: Slurm does not answer.
    """
    waiting = {item.stage.name: job for item in pipeline.stages if (job := queued(item.folder))}
    pipeline.look_again([item for item in pipeline.stages if item.stage.name not in waiting])
    todo = [item for item in pipeline.stages if item.does not in (SKIPPED, LEFT) and item.stage.name not in waiting]
    for item in pipeline.stages:
        why = f"in the queue as {waiting[item.stage.name].job}" if item.stage.name in waiting else item.why
        out.print(f"       {escape(item.stage.name)}: {escape(why)}")
    for item in todo:  # before the first is queued
        require_accepted(script_of(item, []), f"stage {item.stage.name}")
    for item in todo:
        after = [waiting[name].job for name in item.stage.needs if name in waiting]
        script = script_of(item, after)
        write_run(item.plan, item.words)
        (waiting[item.stage.name],) = hand_over(script, {0: item.folder})
    out.print(f"[bold]r1lab[/]  {plural(len(todo), 'stage')} in the queue; each waits for those that it needs")
    return list(waiting.values())


def queued(folder: Path) -> Submitted | None:
    """The job that a stage has in the queue, if it is not over."""
    item = under_way(folder)
    return Submitted(item.run, item.job) if item else None


def script_of(item: Planned, after: list[str]) -> Path:
    """Write the job's script; the file."""
    before = list(item.plan.cfg.cluster.after)
    item.plan.cfg.cluster.after = [*before, *after]
    (file,) = write_scripts({0: item.plan}, item.folder.parent)
    item.plan.cfg.cluster.after = before
    return file
