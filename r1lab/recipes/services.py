"""What a recipe says of the Hub and of experiment trackers."""

from __future__ import annotations

import re

from r1lab.recipes.draft import Draft

TRACKERS = ("wandb", "mlflow", "tensorboard", "trackio")
WANDB = {"wandb_entity": "entity", "wandb_project": "project", "wandb_run_group": "group"}
CHECKPOINTS = "push_to_hub_revision"  # a key, and a callback of that name
OF_THE_HUB = ("hub_model_id", "hub_model_revision", "hub_private_repo", "overwrite_hub_revision")


def slug(text: str) -> str:
    """A text as the name of a file and of an option: small letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")


def hub(draft: Draft) -> None:
    """Where the model goes."""
    callbacks = draft.texts("callbacks")
    revisions = draft.flag(CHECKPOINTS) or CHECKPOINTS in callbacks
    if draft.flag("push_to_hub") or revisions:
        draft.choose("hub", "push", "push_to_hub")
        draft.move("hub_model_id", "hub.repo")
        draft.move("hub_model_revision", "hub.revision")
        draft.move("overwrite_hub_revision", "hub.overwrite")
        private = draft.get("hub_private_repo", True)
        remark = "" if draft.says("hub_private_repo") else "not said there, and public then; false makes it so"
        draft.put("hub.private", private, "hub_private_repo", remark=remark)
        if revisions:
            draft.put("hub.checkpoints", True, CHECKPOINTS)
            if callbacks == [CHECKPOINTS]:
                draft.became["callbacks"] = "hub.checkpoints"
    draft.drop("nothing is pushed: push_to_hub is false", *OF_THE_HUB, "push_to_hub", CHECKPOINTS)
    others = [name for name in callbacks if name != CHECKPOINTS]
    draft.drop(f"r1lab has no callback {', '.join(others) or 'here'}", "callbacks")
    draft.drop("the run pushes what hub= says, from a process beside it", "hub_strategy", "hub_always_push")
    draft.drop("a token is no part of a recipe: HF_TOKEN in the environment or .env", "hub_token", "push_to_hub_token")
    draft.drop("r1lab measures models apart from training: task=eval model.path=RUN/model", "benchmarks")


def trackers(draft: Draft) -> None:
    """Where the metrics go, and the run's name there."""
    said = draft.texts("report_to")
    chosen = [name for name in dict.fromkeys(said) if name in TRACKERS]
    draft.choose("tracker", chosen)
    others = [name for name in said if name not in TRACKERS]
    if others == ["all"]:
        others = []
        draft.drop("which ones has to be said: tracker=[wandb,mlflow]", "report_to")
    elif others and others != ["none"]:
        draft.drop(f"r1lab has no tracker {', '.join(others)}; its own: {', '.join(TRACKERS)}", "report_to")
    else:
        draft.choose("tracker", chosen, "report_to")
    for key, name in WANDB.items():
        if "wandb" in chosen:
            draft.move(key, f"tracker.wandb.{name}")
        draft.drop("report_to does not name wandb", key)
    draft.drop("completions/ keeps samples of every run, with every reward", "wandb_log_unique_prompts")
    if draft.says("run_name") and (name := slug(str(draft.get("run_name")))):
        draft.put("name", name, "run_name")
