"""From a recipe of Open-R1's form to an experiment: which kind it is, on what it runs, what it is called."""

from __future__ import annotations

from pathlib import Path

from r1lab.config.experiments import CONF, EXPERIMENTS
from r1lab.errors import ConfigError, Finding
from r1lab.recipes.draft import Draft
from r1lab.recipes.engine import serves
from r1lab.recipes.fields import trainer
from r1lab.recipes.reading import Recipe
from r1lab.recipes.rewards import KEYS, rewards
from r1lab.recipes.services import hub, slug, trackers
from r1lab.recipes.sources import dataset, model
from r1lab.wording import display, nearest

KINDS = ("grpo", "sft")
OF_GRPO = {"num_generations", "max_completion_length", "max_prompt_length", "dataset_prompt_column", "use_vllm", "beta"}
OF_SFT = {
    "packing",
    "max_length",
    "max_seq_length",
    "dataset_text_field",
    "completion_only_loss",
    "assistant_only_loss",
}
OF_FILTERS = {"pass_rate_min", "pass_rate_max"}
GPUS = 8  # of a node that accelerators with several processes are declared with
ALONE = ("single", "auto", "cpu")


def kind_of(recipe: Recipe, said: str | None) -> str:
    """The task of a recipe: as said, else as its keys or the folder it stands in tell.

    Raises:
        ConfigError: they do not tell, or it is of neither kind.
    """
    if said is not None:
        if said not in KINDS:
            close = nearest(said, KINDS)
            fix = f"one of: {', '.join(KINDS)}"
            raise ConfigError(
                [Finding(f"there are no recipes for {said!r}", "task.kind", f"task.kind={close}" if close else "", fix)]
            )
        return said
    keys = {key for key, value in recipe.values.items() if value is not None}
    folder = recipe.path.resolve().parent.name.lower()
    if folder in KINDS:
        return folder
    if filters := sorted(OF_FILTERS & keys):
        what = f"{filters[0]} is of a filter by pass rates, not of a training"
        raise ConfigError(
            [Finding(what, recipe.where(filters[0]), fix="task=filter filters; its keys are set by hand")]
        )
    grpo, sft = keys & {*OF_GRPO, *KEYS}, keys & OF_SFT
    if bool(grpo) == bool(sft):
        both = f": {min(grpo)} is of the one, {min(sft)} of the other" if grpo and sft else ""
        what = f"{display(recipe.path)}: its keys do not tell whether it is for GRPO or SFT{both}"
        raise ConfigError([Finding(what, recipe.where(""), fix="task.kind=grpo or task.kind=sft")])
    return "grpo" if grpo else "sft"


def draft_of(recipe: Recipe, kind: str, name: str, accelerator: str = "zero3", processes: int | None = None) -> Draft:
    """The experiment that a recipe makes.

    Args:
        recipe: the recipe.
        kind: "grpo" or "sft".
        name: what the run is called where the recipe does not say.
        accelerator: the option of that group, which no recipe names.
        processes: training processes on a node; null: all GPUs, but one where a server generates.

    Raises:
        ConfigError: with everything that keeps it from becoming an experiment.
    """
    if accelerator not in (known := sorted(file.stem for file in (CONF / "accelerator").glob("*.yaml"))):
        close = nearest(accelerator, known)
        what, nearby = f"there is no accelerator {accelerator!r}", f"task.accelerator={close}" if close else ""
        raise ConfigError([Finding(what, "task.accelerator", nearby, f"one of: {', '.join(known)}")])
    draft = Draft(recipe, kind)
    draft.choose("task", kind)
    draft.put("name", name)
    draft.choose("accelerator", accelerator)
    if processes is not None:
        draft.put("accelerator.processes", processes)
    elif serves(draft) and accelerator not in ALONE:
        draft.put("accelerator.processes", GPUS - 1, remark="the last GPU of the node generates")
    model(draft)
    dataset(draft)
    rewards(draft)
    hub(draft)
    trackers(draft)
    trainer(draft)
    if draft.findings:
        raise ConfigError(draft.findings)
    return draft


def name_of(path: Path) -> str:
    """What an experiment is called after the file of its recipe: MODEL/TASK/config_NAME.yaml is model-task-name."""
    stem = path.stem.removeprefix("config_").removeprefix("config")
    parents = path.resolve().parts[-3:-1]
    if len(parents) == 2 and parents[1].lower() in KINDS:
        return slug("-".join((*parents, stem)))
    return slug(stem) or slug(path.stem) or "recipe"


def place_for(name: str, overwrite: bool) -> Path:
    """The file of an experiment of the user's, in `experiments/` of the working directory.

    Raises:
        ConfigError: the name cannot be one, r1lab ships an experiment of it, or the file is there already.
    """
    if name != slug(name) or not name:
        fix = "small letters, digits, dots and dashes"
        raise ConfigError(
            [Finding(f"task.to={name} is no name of an experiment", "task.to", f"task.to={slug(name)}", fix)]
        )
    file = Path("experiments") / f"{name}.yaml"
    if (EXPERIMENTS / file.name).is_file() and file.resolve() != (EXPERIMENTS / file.name).resolve():
        what = f"r1lab ships an experiment {name}, which would be the one that is found"
        raise ConfigError([Finding(what, "task.to", f"task.to=my-{name}")])
    if file.exists() and not overwrite:
        what = f"{file} is there already"
        raise ConfigError([Finding(what, "task.to", f"task.to={name}-2", "or task.overwrite=true")])
    return file
