"""The stages of a pipeline on this machine, one after another."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from r1lab.config.command import as_command
from r1lab.errors import R1labError, RunError
from r1lab.launch.local import launch
from r1lab.plan.checks import require
from r1lab.plan.pipeline import LEFT, SKIPPED, Pipeline, Planned
from r1lab.wording import display, plural


def run_all(pipeline: Pipeline, out: Console, tell: Callable[[str, list[str]], object]) -> None:
    """Run what is to be run; a stage that fails stops those after it and no other.

    Args:
        pipeline: planned.
        out: where to say how it goes.
        tell: called when a stage begins, with its name and those of the stages that are still to be run.

    Raises:
        RunError: naming the stage that failed first and why.
        KeyboardInterrupt: it was interrupted, and said in which stage.
    """
    failed: dict[str, R1labError] = {}
    stopped: set[str] = set()
    for number, item in enumerate(pipeline.stages, 1):
        name = item.stage.name
        out.print(
            f"\n[bold]{number}/{len(pipeline.stages)} {escape(name)}[/]  {escape(str(item.plan.cfg.task.name))}", end=""
        )
        waited = [other for other in item.stage.needs if other in failed or other in stopped]
        if waited:
            stopped.add(name)
            out.print(f": not started, since {escape(waited[0])} did not finish")
            continue
        if item.does in (SKIPPED, LEFT):
            out.print(f": {'skipped, ' if item.does == SKIPPED else ''}{escape(item.why)}")
            continue
        out.print(f": {escape(item.why)}\n       {escape(display(item.folder))}")
        ahead = [other.stage.name for other in pipeline.stages[number:] if other.does not in (SKIPPED, LEFT)]
        tell(name, [*sorted(stopped), *ahead])
        try:
            require_inputs(pipeline, item)
            say(run_one(item), item, out)
            require_outputs(pipeline, item)
        except R1labError as error:
            failed[name] = error
            out.print(f"[bold red]failed[/] stage {escape(name)}: {escape(str(error))}")
        except KeyboardInterrupt:
            again = "the same command goes on with it, and skips what has finished"
            out.print(f"[bold yellow]interrupted[/] in stage {escape(name)}: {again}")
            raise
    if failed:
        name, first = next(iter(failed.items()))
        after = f", and {plural(len(stopped), 'stage')} after it did not start" if stopped else ""
        fix = "\n    fix      mend the cause and give the same command again: it goes on with this stage"
        raise RunError(f"stage {name} failed{after}: {first}{fix}") from first


def run_one(item: Planned) -> dict[str, object]:
    """Run one stage in its folder; its final metrics."""
    return launch(require(item.plan).cfg, item.folder, as_command([*item.words, f"hydra.run.dir={item.folder}"]))


def require_inputs(pipeline: Pipeline, item: Planned) -> None:
    """Refuse to start a stage whose input is not there.

    Raises:
        RunError: naming it.
    """
    by_name = {other.stage.name: other for other in pipeline.stages}
    for name, said in item.stage.takes:
        if not by_name[name].left(said):
            raise RunError(f"stage {name} left no {said} at {display(by_name[name].output(said))}")


def require_outputs(pipeline: Pipeline, item: Planned) -> None:
    """Refuse what a stage left where something is lacking that another stage takes.

    Raises:
        RunError: naming it.
    """
    for other in pipeline.graph.stages:
        for name, said in other.takes:
            if name == item.stage.name and not item.left(said):
                what = f"it ended well and left no {said}, which stage {other.name} takes"
                raise RunError(f"{what} ({display(item.output(said))})")


def say(metrics: dict[str, object], item: Planned, out: Console) -> None:
    """Say what came out of a stage."""
    notes = metrics.get("notes")
    for note in notes if isinstance(notes, list) else []:
        out.print(f"       {escape(str(note))}")
