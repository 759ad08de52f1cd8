"""The stages of a pipeline as its config names them: their words, what each takes from another, and their order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.config.groups import groups
from r1lab.config.references import ANY_TAKEN, TAKEN
from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest, some

CHOOSE = "choose"  # of a stage: which option of which group
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
OWNED = {  # words that a pipeline says of its stages itself
    "dry_run": "dry_run=true of the pipeline plans them all",
    "resume": "a stage goes on by itself where it was",
    "outputs": "task.store=FOLDER says where stages stand",
    "debug": "run the stage's own command with debug=true",
}
OUTPUTS = {  # task → what a run of it leaves for others, and where in its folder
    "sft": {"model": "model"},
    "grpo": {"model": "model"},
    "rft": {"model": "model"},
    "eval": {"completions": "completions/eval.jsonl"},
    "generate": {"dataset": "dataset/sft", "completions": "dataset/all", "store": "store"},
    "filter": {"dataset": "dataset", "store": "store"},
    "decontaminate": {"dataset": "dataset"},
    "rescore": {"completions": "completions/eval.jsonl"},
}
OF_BENCHMARKS = {"completions": "evaluation"}  # of an eval that chooses benchmarks
OF_ALL = {"metrics": "metrics.json", "folder": ""}


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as the config calls it.
        words: its command's, with `${stage.NAME.OUTPUT}` where it takes something.
        takes: for each of those (stage, output), in the order they are said.
    """

    name: str
    words: tuple[str, ...]
    takes: tuple[tuple[str, str], ...] = ()

    @property
    def task(self) -> str:
        """The task that it chooses."""
        said = [word.partition("=")[2] for word in self.words if word.startswith("task=")]
        return said[-1] if said else ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The stages that it takes something from."""
        return tuple(dict.fromkeys(name for name, _ in self.takes))

    @property
    def unreadable(self) -> bool:
        """Whether a word of it says `${stage.…}` in a way that names no output."""
        return any(not TAKEN.fullmatch(item) for word in self.words for item in ANY_TAKEN.findall(word))

    def filled(self, places: Mapping[tuple[str, str], str]) -> list[str]:
        """Its words with a path for each thing it takes."""
        return [TAKEN.sub(lambda found: places[found[1], found[2]], word) for word in self.words]


@dataclass
class Graph:
    """The stages of a pipeline in an order in which each comes after what it needs; what is wrong with them."""

    stages: list[Stage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def after(self, name: str) -> set[str]:
        """The stages that need a stage, directly or through others."""
        found: set[str] = set()
        for stage in self.stages:
            if {name, *found} & set(stage.needs):
                found.add(stage.name)
        return found

    def before(self, name: str) -> set[str]:
        """The stages that a stage needs, directly or through others."""
        found: set[str] = set()
        for stage in reversed(self.stages):
            if stage.name == name or stage.name in found:
                found |= set(stage.needs)
        return found


def graph_of(task: DictConfig, where: Where) -> Graph:
    """Read the stages of a resolved pipeline's `task` node, inside a `compose.session`."""
    said: Any = OmegaConf.to_container(task.stages, resolve=True)
    each: Any = OmegaConf.to_container(task.each, resolve=True)
    if not isinstance(said, dict) or not said:
        fix = "experiment=r1-zero-tiny is one that has some; docs/pipelines.md says how to write them"
        return Graph([], [Finding("task=pipeline names no stage", where("task.stages"), fix=fix)])
    findings = _faults_of("task.each", each, where) if isinstance(each, dict) else []
    stages: list[Stage] = []
    for name, content in said.items():
        key = f"task.stages.{name}"
        if faults := _faults(str(name), key, content, list(said), where):
            findings += faults
            continue
        words = [*_words(each), *_words(content)]
        taken = [(found[1], found[2]) for word in words for found in TAKEN.finditer(word)]
        stages.append(Stage(str(name), tuple(_latest(words)), tuple(dict.fromkeys(taken))))
    known = [str(name) for name in said]
    for stage in stages:
        findings += _unknown(stage, known, where)
    findings += [
        Finding(f"task.{key}={task[key]} is no stage", where(f"task.{key}"), _close(f"task.{key}", task[key], known))
        for key in ("from", "until")
        if task[key] is not None and task[key] not in known
    ]
    needs = {stage.name: [item for item in stage.needs if item in known] for stage in stages}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        path = " → ".join(reversed(error.args[1]))
        what = f"the stages need each other in a circle: {path}"
        return Graph([], [*findings, Finding(what, where("task.stages"), fix="one of them has to start without")])
    by_name = {stage.name: stage for stage in stages}
    return Graph([by_name[name] for name in _as_written(order, needs, known) if name in by_name], findings)


def _as_written(order: list[str], needs: Mapping[str, list[str]], known: list[str]) -> list[str]:
    """An order of the graph that keeps to the order in the file where it can."""
    left, done = [name for name in known if name in order], list[str]()
    while left:
        name = next(name for name in left if set(needs.get(name, ())) <= {*done, *(set(known) - set(order))})
        left.remove(name)
        done.append(name)
    return done


def _faults(name: str, key: str, content: Any, names: list[Any], where: Where) -> list[Finding]:
    """What is wrong with one stage by itself."""
    if not isinstance(content, dict):
        return [
            Finding(f"{key} is no stage: it holds {content!r}", where(key), fix=f"{key}: {{choose: {{task: sft}}}}")
        ]
    if not NAME.fullmatch(name):
        return [Finding(f"{name!r} is no name for a stage", where(key), fix="letters, digits, - and _")]
    chosen = content.get(CHOOSE)
    if not isinstance(chosen, dict) or ("task" not in chosen and "experiment" not in chosen):
        others = [str(item) for item in names if str(item) != name]
        close = nearest(name, others)
        what = f"stage {name} chooses no task"
        nearby = f"task.stages.{close}" if close and not chosen else ""
        return [Finding(what, where(key), nearby, f"{key}: {{choose: {{task: sft}}}}")]
    return _faults_of(key, content, where)


def _faults_of(key: str, content: Mapping[str, Any], where: Where) -> list[Finding]:
    """Words that no stage takes: choices outside `choose`, and what the pipeline says itself."""
    findings = []
    chosen = content.get(CHOOSE) or {}
    for group in groups():
        if group in content and not isinstance(content[group], dict):
            what = f"{key}.{group}={_plain(content[group])} chooses an option beside `choose`"
            fix = f"{key}: {{choose: {{{group}: {_plain(content[group])}}}}}"
            findings.append(Finding(what, where(f"{key}.{group}"), fix=fix))
    for word in _flat(content):
        root = word.split(".")[0]
        if root in OWNED or root == "hydra":
            fix = f"leave it out; {OWNED.get(root, 'a stage starts where its pipeline does')}"
            findings.append(Finding(f"{key}.{word} is not for a stage to say", where(f"{key}.{word}"), fix=fix))
    if chosen.get("task") == "pipeline":
        what = f"{key} is a pipeline itself"
        findings.append(Finding(what, where(key), fix="write its stages beside the others"))
    return findings


def _unknown(stage: Stage, known: list[str], where: Where) -> list[Finding]:
    """What a stage takes that no stage leaves: unknown stages, itself, and what cannot be read."""
    findings = []
    for word in stage.words:
        key, _, _ = word.partition("=")
        place = f"stage {stage.name}, {key}" + _at(where, stage.name)
        for found in ANY_TAKEN.finditer(word):
            whole = TAKEN.fullmatch(found[0])
            if not whole:
                what = f"{found[0]} names no output of a stage"
                findings.append(
                    Finding(what, place, fix="${stage.NAME.model}, .dataset, .completions, .metrics, .folder")
                )
            elif whole[1] not in known:
                close = nearest(whole[1], known)
                nearby = f"${{stage.{close}.{whole[2]}}}" if close else ""
                fix = "" if close else f"one of: {some(known, like=whole[1])}"
                findings.append(Finding(f"{found[0]}: there is no stage {whole[1]}", place, nearby, fix))
    return findings


def _at(where: Where, name: str) -> str:
    """Where a stage is said, if that is known, in brackets."""
    place = where(f"task.stages.{name}")
    return f" ({place})" if place != f"task.stages.{name}" else ""


def _close(key: str, value: Any, known: list[str]) -> str:
    close = nearest(str(value), known)
    return f"{key}={close}" if close else f"one of: {some(known)}"


def _words(content: Mapping[str, Any]) -> list[str]:
    """A stage's mapping as words of a command line: its choices, then its values."""
    chosen = content.get(CHOOSE) or {}
    return [f"{group}={_plain(option)}" for group, option in chosen.items()] + [
        f"{key}={_said(value)}" for key, value in _flat(content).items()
    ]


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key; what a command line said, which nests, comes after what a file wrote with dots."""
    dotted = {str(key): value for key, value in content.items() if key != CHOOSE and not isinstance(value, dict)}
    nested: dict[str, Any] = {}
    for key, value in content.items():
        if key != CHOOSE and isinstance(value, dict):
            nested |= dict(_leaves(value, str(key)))
    return {**dotted, **nested}


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict) or not node:
        yield prefix, node
        return
    for key, value in node.items():
        yield from _leaves(value, f"{prefix}.{key}")


def _latest(words: list[str]) -> list[str]:
    """The words with the last one of each key, where the first one stood."""
    latest = {word.partition("=")[0]: word for word in words}
    return list(latest.values())


def _plain(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else "null" if value is None else str(value)


def _said(value: Any) -> str:
    """A value as the command line writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(_said, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_said(item)}" for key, item in value.items()) + "}"
    return '"' + re.sub(r'(\\*)"', r'\1\1\\"', re.sub(r"(\\+)$", r"\1\1", str(value))) + '"'
