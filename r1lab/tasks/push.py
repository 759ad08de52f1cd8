"""task=push: what a run has not pushed yet, or a finished run that was not meant to be pushed.

The run's own `hub` settings hold; `hub=push hub.repo=…` on the command line takes their place.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from r1lab.config.schema import Hub
from r1lab.errors import ConfigError, Finding, HubError
from r1lab.hub.client import connect
from r1lab.hub.pending import expect, expect_checkpoint, kind_of, ledger, open_pushes, push_open, repo_of
from r1lab.runs.folder import RunFolder, step_of
from r1lab.runs.states import FINISHED
from r1lab.terminal import terminal

console = terminal()


def run(cfg: DictConfig) -> None:
    """Push what `task.run`, a run's folder, holds and the Hub does not.

    Raises:
        ResumeError: it is no run's folder, or the run is still going on.
        ConfigError: there is nothing to push, or the Hub holds something else at that place.
        HubError: the Hub cannot be reached; nothing is lost, and the command can be repeated.
    """
    folder = RunFolder(Path(cfg.task.run))
    own = folder.read_config(("task", "model.repo", "model.name"))
    settings = settings_of(own, cfg)
    connect()
    with folder.locked():
        gather(folder, own, settings)
        if not open_pushes(folder):
            console.print(f"{folder.path}: everything is pushed", markup=False)
            return
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            if not text.startswith("not pushed"):
                console.print(text, markup=False)

        if not push_open(folder, own, settings, say):
            raise HubError(said[-1])


def settings_of(own: DictConfig, cfg: DictConfig) -> DictConfig:
    """The command's `hub` node where it chose one; else the run's, or the defaults, with the keys that it gave."""
    if cfg.hub.name != "none":
        return cfg.hub
    plain = OmegaConf.structured(Hub())
    chosen = own.get("hub") and own.hub.name != "none"
    given = {key: value for key, value in cfg.hub.items() if value != plain[key]}
    return DictConfig(OmegaConf.merge(plain, own.hub if chosen else {"name": "push"}, given))


def gather(folder: RunFolder, own: DictConfig, settings: DictConfig) -> None:
    """Note what is to be pushed and is not noted: the model of a finished run, and the checkpoints where asked for.

    Raises:
        ConfigError: the run has left nothing that could be pushed.
    """
    pushes = ledger(folder).read().get("pushes", {})
    repo = repo_of(own, settings)
    elsewhere = {name for name, entry in pushes.items() if entry["commit"] and not same(str(entry["repo"]), repo)}
    kind = kind_of(own)
    finished = folder.read_json("manifest.json").get("status") == FINISHED and (folder.path / kind).is_dir()
    if finished and (settings.revision not in pushes or settings.revision in elsewhere):
        expect(folder, settings.revision, kind, kind=kind)
    if settings.checkpoints:
        for path in folder.whole_checkpoints():
            expect_checkpoint(folder, settings, path, step_of(path))
    if not finished and not ledger(folder).read().get("pushes"):
        what = f"{folder.path} holds no finished {kind}"
        raise ConfigError([Finding(what, "task.run", fix="hub=push hub.checkpoints=true pushes its checkpoints")])


def same(full: str, asked: str) -> bool:
    """Whether a repository is the one that is asked for by name or by "user/name"."""
    return full == asked or ("/" not in asked and full.partition("/")[2] == asked)
