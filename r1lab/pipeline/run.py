"""task=pipeline: run the stages of a graph that are not there yet, and write the page of the whole path.

Everything was planned when the command was read; it is planned again once the folder is held, since another start may
have ended stages meanwhile. A stage stands in a folder whose name carries its key (`plan.stage_keys`), so what has not
changed is found and skipped, and what was killed goes on in its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from rich.markup import escape

from r1lab.config.command import as_typed
from r1lab.config.compose import session
from r1lab.errors import ConfigError
from r1lab.pipeline import here, queue
from r1lab.plan.pipeline import SKIPPED, Pipeline, folder_of, plan_pipeline
from r1lab.plan.pipeline_facts import takes
from r1lab.runs import pipeline as record
from r1lab.runs.folder import RunFolder
from r1lab.terminal import terminal
from r1lab.wording import display, plural

out = terminal()


def run(cfg: DictConfig) -> None:
    """Run a pipeline here, or hand its stages to Slurm's queue where `cluster` says so.

    Raises:
        ConfigError: something speaks against a stage; nothing was started.
        ResumeError: another pipeline is running in the folder.
        RunError: a stage failed; those that need it were not started.
    """
    with RunFolder(folder_of(cfg)).locked():
        with session():
            pipeline = plan_pipeline(cfg)
        if errors := [finding for finding in pipeline.findings if finding.severity == "error"]:
            raise ConfigError(errors)
        out.print(f"[bold]r1lab[/]  task=pipeline  {escape(str(cfg.name))}, {plural(len(pipeline.stages), 'stage')}")
        out.print(f"       {escape(display(pipeline.folder))}")
        for finding in pipeline.findings:
            out.print(f"[yellow]note[/]   {escape(finding.text())}")
        write_record(cfg, pipeline)
        try:
            if cfg.cluster.kind == "slurm":
                write_page(pipeline.folder)
                queue.submit_all(cfg, pipeline, out)
            else:
                here.run_all(pipeline, out, partial(write_page, pipeline.folder))
        finally:
            out.print(f"       {escape(display(write_page(pipeline.folder)))}")
    if all(item.does == SKIPPED for item in pipeline.stages):
        out.print("[bold green]done[/]   every stage had finished before; nothing was run")


def write_record(cfg: DictConfig, pipeline: Pipeline) -> None:
    """Write what this start means to do."""
    stages = [
        {
            "name": item.stage.name,
            "task": str(item.plan.cfg.task.name),
            "key": item.key,
            "folder": str(item.folder),
            "takes": [list(pair) for pair in item.stage.takes],
            "told": takes(item),
            "does": item.does,
            "why": item.why,
        }
        for item in pipeline.stages
    ]
    record.write(pipeline.folder, str(cfg.name), as_typed(), stages)


def write_page(folder: Path, running: str = "", ahead: Sequence[str] = ()) -> Path:
    """Write the page of the whole path, as `write_pipeline` does."""
    from r1lab.report.pipeline import write_pipeline  # numpy: a plan needs none

    return write_pipeline(folder, running, ahead)
