"""Planning the run that a folder holds, with the words that may change about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from r1lab.config.compose import compose_choices
from r1lab.config.groups import is_group, options_of
from r1lab.config.source import parameters
from r1lab.errors import ConfigError, Finding, ResumeError
from r1lab.plan.checks import Plan, plan, require
from r1lab.plan.fields import LISTS, SCHEMA, TYPED
from r1lab.plan.places import where
from r1lab.plan.words import group_findings, parse, values_of
from r1lab.runs.config import PARTS
from r1lab.runs.folder import RunFolder
from r1lab.runs.resume import ASKING, PLACE, PYTHON, check_resume, flatten, makes_longer, of_judge
from r1lab.runs.sweeps import SweepLedger
from r1lab.wording import nearest, some

ALLOWED = "a resumed run takes trainer.max_steps, trainer.num_train_epochs, task.n, and accelerator=…"
LEAVE_OUT = "leave it out to resume, or start a new run without resume="


def plan_resumed(run_dir: Path, words: Sequence[str]) -> Plan:
    """Plan the run that a folder holds, inside a `compose.session`.

    Raises:
        ConfigError: the folder holds no run, or the words would make it a different one.
    """
    old = _read(run_dir)
    new = old.copy()
    overrides, findings = parse(words)
    for override in overrides:
        key = override.key_or_group
        place = f"override {override.input_line}"
        if key == "resume" or key.startswith("hydra"):
            continue
        if override.is_sweep_override():
            findings.append(Finding("resume= continues one run, not a sweep", place, fix="one command for each run"))
        elif is_group(key):
            findings += _choose(old, new, override, run_dir)
        elif key.split(".")[0] not in (*PLACE, "trainer") and OmegaConf.select(old, key) is None:
            what = f"{key} is not a word of the run in {run_dir}"
            findings.append(Finding(what, place, nearest(key, flatten(OmegaConf.to_container(old))), ALLOWED))
        else:
            for value in values_of(override):
                OmegaConf.update(new, key, value, force_add=True)
        if (group := key.split(".")[0]) in new:
            _copy(new, group)
    if findings:
        raise ConfigError(findings)
    new.resume = str(run_dir)
    planned = plan(new, run_dir, words, lambda: [("", run_dir / "run.yaml")])
    if not planned.errors:
        planned.findings += check_resume(old, planned.cfg, str(run_dir), partial(where, overrides=words))
    return require(planned)


def _read(run_dir: Path) -> DictConfig:
    """The config of the run that a folder holds.

    Raises:
        ConfigError: there is none, or one that lacks something.
    """
    place, file = f"override resume={run_dir}", run_dir / "run.yaml"
    try:
        old = RunFolder(run_dir).read_config(PARTS)
        SweepLedger(run_dir.parent).read()  # a run of a sweep notes there what it tries
    except ResumeError as error:
        near = "" if file.is_file() else _run_near(run_dir)
        raise ConfigError([Finding(error.what, place, near, error.fix)]) from None
    if lacking := _lacking(old):
        what = f"{file} lacks {some(lacking, 4)}, which a run's config says"
        fix = "put it back as the run had it; or start a new run without resume="
        raise ConfigError([Finding(what, place, fix=fix)])
    return old


def _lacking(old: DictConfig) -> list[str]:
    """What the schema and the task's own file declare and a run's config does not say."""
    known = {"": list(parameters(f"{SCHEMA}.schema.Run") or {})}
    known |= {group: list(parameters(f"{SCHEMA}.{name}") or {}) for group, name in TYPED.items() if group in PARTS}
    if old.task.name in options_of("task"):
        known["task"] = [str(key) for key in compose_choices([f"task={old.task.name}"], to_change=False).task]
        known["task"] = [key for key in known["task"] if key != "reads"]  # which is about what is typed
    nodes = {group: old[group] if group else old for group in known}
    return [f"{group}.{key}".lstrip(".") for group, keys in known.items() for key in keys if key not in nodes[group]]


def _copy(new: DictConfig, group: str) -> None:
    """Give the rewards and scorers their copy of where they judge."""
    parts = {of_judge(key) for key in flatten(OmegaConf.to_container(new))}
    for copy in sorted(part for part in parts if part.endswith(f".{group}")):
        OmegaConf.update(new, copy, new[group], merge=False)


def _run_near(run_dir: Path) -> str:
    """A folder that holds a run, inside or beside one that does not: the nearest by name, else the newest."""
    inside, beside = ([path.parent for path in folder.glob("*/run.yaml")] for folder in (run_dir, run_dir.parent))
    found = {path.name: path for path in sorted(inside or beside)}
    close = found.get(nearest(run_dir.name, found)) or next(reversed(found.values()), None)
    return f"resume={close}" if close else ""


def _choose(old: DictConfig, new: DictConfig, override: Override, run_dir: Path) -> list[Finding]:
    """Take a choice of where to run; of another group, only the choice that was made before."""
    if faults := group_findings(override):
        return faults
    group, choice = override.key_or_group, values_of(override)[0]
    if group in PLACE:
        composed = compose_choices([f"{group}={choice}"])
        new[group] = OmegaConf.to_container(composed[group], resolve=True)
        return []
    was, same = _chosen(old, group, choice)
    if same:
        return []
    asked = f"[{','.join(choice)}]" if isinstance(choice, list) else choice
    what = f"{group} was {was} in {run_dir}, now {asked}: that is a different run"
    return [Finding(what, f"override {override.input_line}", fix=LEAVE_OUT)]


def _chosen(old: DictConfig, group: str, choice: Any) -> tuple[str, bool]:
    """What a run chose of a group, as text, and whether a choice is the same."""
    node = old.get(group)
    if group in LISTS:
        names = [str(name) for name in node or {}]
        asked = ",".join(map(str, choice)) if isinstance(choice, list) else choice
        return f"[{','.join(names)}]", set(names) == set(compose_choices([f"{group}=[{asked}]"]).get(group) or {})
    name = node.get("name") if isinstance(node, DictConfig) else None
    return str(name or "set by its files"), name == choice


def words_for_hydra(words: Sequence[str]) -> list[str]:
    """The words of a resumed run that Hydra can compose: the others were found to repeat what the folder holds.

    A word of the folder's task is added by force: what Hydra composes here is of another one.
    """
    kept: list[str] = []
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key.split(".")[0].split("/")[0] in (*PLACE, "trainer", "hydra"):
            kept.append(word)
        elif makes_longer(key) or key in (*ASKING, PYTHON):
            kept.append(f"++{word.lstrip('+')}")
    return kept
