"""What of a run is to be pushed, what is pushed, and pushing the rest: `hub.json` in the run's folder.

An entry is written before anything is sent and gets its commit afterwards, so that whatever happens in between, the
next attempt knows what is left and recognises its own commits.
"""

from __future__ import annotations

import re
import shlex
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import ConfigError, HubError
from r1lab.hub.content import evidence, stage
from r1lab.hub.push import Pushed, push_folder
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger
from r1lab.wording import plural

STAGED = "hub"  # where checkpoints wait, in the run's folder
LONGEST_NAME = 96  # of a repository, the Hub's limit

Say = Callable[[str], None]


def ledger(folder: RunFolder) -> Ledger:
    """The run's `hub.json`: `pushes`, a mapping from revision to entry, and `marks` of every push that was begun."""
    return Ledger(folder.path / "hub.json", anew=True)


def repo_of(cfg: DictConfig, settings: DictConfig) -> str:
    """The repository of a run: `hub.repo`, else `task.output`, else `MODEL-TASK`, for the Hub's user."""
    name = settings.repo or cfg.task.get("output") or f"{cfg.model.name}-{cfg.task.name}"
    return str(name) if "/" in str(name) else re.sub(r"[^\w.-]+|--+|\.\.+", "-", str(name)).strip("-.")[:LONGEST_NAME]


def step_revision(revision: str, step: int) -> str:
    """The branch of a checkpoint."""
    return f"{revision}-step-{step:09d}"


def kind_of(cfg: DictConfig) -> str:
    """What a run leaves: a "model" where it trains, else a "dataset"."""
    return "model" if cfg.get("trainer") else "dataset"


def expect(folder: RunFolder, revision: str, source: str, step: int | None = None, kind: str = "model") -> None:
    """Note that a folder is to be pushed to a revision.

    Args:
        folder: the run's.
        revision: the branch.
        source: a folder inside the run's.
        step: of a checkpoint; None for what the run leaves, which is pushed again where it was pushed before.
        kind: "model" or "dataset".
    """
    with ledger(folder).changing() as content:
        pushes = content.setdefault("pushes", {})
        if step is not None and pushes.get(revision, {}).get("commit"):
            return  # a resumed run writes the same checkpoint again
        mark = f"r1lab push {uuid.uuid4().hex}"
        content.setdefault("marks", []).append(mark)
        entry = {"source": source, "kind": kind, "step": step, "mark": mark, "commit": None, "error": None}
        pushes[revision] = entry


def expect_checkpoint(folder: RunFolder, settings: DictConfig, checkpoint: Path, step: int) -> None:
    """Keep a checkpoint for its push, unless it is pushed."""
    revision = step_revision(settings.revision, step)
    if ledger(folder).read().get("pushes", {}).get(revision, {}).get("commit"):
        return
    source = f"{STAGED}/step-{step:09d}"
    stage(checkpoint, folder.path / source)
    expect(folder, revision, source, step)


def open_pushes(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """What is not pushed yet: checkpoints by step, then the final model."""
    pushes = ledger(folder).read().get("pushes", {})
    left = [(name, entry) for name, entry in pushes.items() if not entry["commit"]]
    return dict(sorted(left, key=lambda item: (item[1]["step"] is None, item[1]["step"] or 0)))


def push_open(folder: RunFolder, cfg: DictConfig, settings: DictConfig, say: Say) -> bool:
    """Push what is not pushed yet, in order, to the first failure; whether nothing is left.

    Args:
        folder: the run's.
        cfg: the run's config.
        settings: its `hub` node, or another one.
        say: is told of every push and of the failure.
    """
    for revision, entry in open_pushes(folder).items():
        try:
            done = push_entry(folder, cfg, settings, revision, entry)
        except (HubError, ConfigError) as error:
            note(folder, revision, entry, error=str(error))
            say(f"not pushed: {error}")
            return False
        note(folder, revision, entry, commit=done.commit, repo=done.repo, url=done.url, error=None)
        if str(entry["source"]).startswith(f"{STAGED}/"):
            shutil.rmtree(folder.path / entry["source"], ignore_errors=True)
        say(f"pushed {len(done.files)} files to {done.url}")
    return not open_pushes(folder)


def push_entry(
    folder: RunFolder, cfg: DictConfig, settings: DictConfig, revision: str, entry: dict[str, Any]
) -> Pushed:
    """Push one entry.

    Raises:
        ConfigError: the revision holds something else.
        HubError: the Hub fails or refuses.
    """
    step, kind = entry["step"], entry.get("kind", "model")
    what = f"checkpoint of step {step}" if step is not None else "final model" if kind == "model" else "dataset"
    return push_folder(
        folder.path / entry["source"],
        repo_of(cfg, settings),
        kind=kind,
        revision=revision,
        private=settings.private,
        overwrite=settings.overwrite,
        message=f"{what} of {cfg.name}",
        mark=entry["mark"],
        ours=ledger(folder).read().get("marks", []),
        extra=evidence(folder, cfg) if step is None else None,
        retries=settings.retries,
    )


def note(folder: RunFolder, revision: str, entry: dict[str, Any], **facts: Any) -> None:
    """Write what became of an entry, unless it was replaced meanwhile."""
    with ledger(folder).changing() as content:
        current = content["pushes"].get(revision)
        if current and current["mark"] == entry["mark"]:
            current.update(facts)


def later(folder: RunFolder) -> str:
    """The command that pushes what is left."""
    return f"python -m r1lab task=push task.run={shlex.quote(str(folder.path))}"


def summary(folder: RunFolder) -> list[str]:
    """What is not pushed and how to push it, in lines; none where nothing is left."""
    left = open_pushes(folder)
    if not left:
        return []
    shown = ", ".join(left) if len(left) <= 3 else f"{next(iter(left))} … {list(left)[-1]} ({len(left)} in all)"
    reason = next((str(entry["error"]) for entry in left.values() if entry["error"]), "")
    lines = [f"not on the Hub yet: {shown}"]
    return [*lines, *([f"    because  {reason}"] if reason else []), f"    later    {later(folder)}"]


def pushed(folder: RunFolder) -> list[str]:
    """Where the final model is on the Hub, in a line, and how many checkpoints are; none where nothing is."""
    done = [entry for entry in ledger(folder).read().get("pushes", {}).values() if entry["commit"]]
    final = [f"pushed to {entry['url']}" for entry in done if entry["step"] is None]
    checkpoints = [entry for entry in done if entry["step"] is not None]
    also = (
        f"pushed {plural(len(checkpoints), 'checkpoint')}, the last to {checkpoints[-1]['url']}" if checkpoints else ""
    )
    return final + ([also] if also else [])
