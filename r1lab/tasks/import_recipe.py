"""task=import_recipe: an experiment file of an Open-R1 recipe, with an account of every key."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.markup import escape

from r1lab.errors import ConfigError, StorageError
from r1lab.recipes.draft import Draft
from r1lab.recipes.importing import draft_of, kind_of, name_of, place_for
from r1lab.recipes.planning import planned
from r1lab.recipes.reading import read
from r1lab.recipes.writing import experiment, put_in_place
from r1lab.terminal import terminal
from r1lab.wording import plural


def run(cfg: DictConfig) -> None:
    """Write `experiments/NAME.yaml` in the working directory and plan it.

    Raises:
        ConfigError: the recipe cannot become an experiment, which then is not written; or the plan speaks against the
            experiment, which is written.
        StorageError: the file cannot be written.
    """
    task = cfg.task
    recipe = read(Path(task.path).expanduser())
    name = str(task.to or name_of(recipe.path))
    file = place_for(name, bool(task.overwrite))
    draft = draft_of(recipe, kind_of(recipe, task.kind), name, task.accelerator, task.processes)
    try:
        put_in_place(file, experiment(draft, name))
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from error
    console = terminal()
    console.print(f"[bold]{escape(str(file))}[/]")
    for line in account(draft):
        console.print(line)
    findings = planned(name)
    for finding in findings:
        if finding.severity != "error":
            console.print(f"[yellow]note[/]     {escape(finding.text())}")
    if errors := [finding for finding in findings if finding.severity == "error"]:
        console.print(f"the plan speaks against it as it stands; {escape(str(file))} is there to be changed")
        raise ConfigError(errors)
    console.print(
        f"[bold green]plan[/]     nothing speaks against it: python -m r1lab experiment={escape(name)} dry_run=true"
    )


def account(draft: Draft) -> list[str]:
    """What became of the recipe's keys, for a terminal."""
    lines = [f"kept     {plural(len(draft.became), 'key')}"]
    renamed = {key: name for key, name in draft.became.items() if name.rpartition(".")[2] != key}
    lines += [f"became   {escape(f'{key} → {name}')}" for key, name in renamed.items()]
    added = {
        key: f"{key}={draft.values[key]}: {why}"
        for key, why in draft.remarks.items()
        if key not in draft.became.values()
    }
    lines += [f"added    {escape(text)}" for text in added.values()]
    lines += [f"dropped  {escape(f'{key} ({draft.recipe.where(key)}): {why}')}" for key, why in draft.dropped.items()]
    for key, close in draft.unknown.items():
        text = f"{key} ({draft.recipe.where(key)}): neither Open-R1 nor TRL knows it" + (
            f"; nearest: {close}" if close else ""
        )
        lines.append(f"[bold yellow]unknown[/]  {escape(text)}")
    return lines
