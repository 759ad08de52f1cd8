"""A pipeline before anything of it starts: every stage composed, checked and found in its folder, or not.

What a stage takes from another one may not be there yet: then the planner looks at a stand-in.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from r1lab.config.compose import compose_words
from r1lab.config.groups import composed_files
from r1lab.config.literal import literal
from r1lab.config.references import ANY_TAKEN
from r1lab.errors import Finding
from r1lab.plan.checks import Plan, plan
from r1lab.plan.fields import Where
from r1lab.plan.stage_keys import key_of
from r1lab.plan.stages import OF_ALL, OF_BENCHMARKS, OUTPUTS, Graph, Stage, graph_of
from r1lab.plan.stand_ins import stand_in
from r1lab.plan.words import check_words, finding_of
from r1lab.runs.folder import RunFolder, step_of
from r1lab.runs.states import FINISHED, WAITING, state_of
from r1lab.wording import display, nearest, plural, some

Outputs = dict[tuple[str, str], str]  # (stage, output) → a path
SKIPPED, AGAIN, FRESH, LEFT = "skip", "go on", "run", "leave"  # what a start of the pipeline does with a stage


@dataclass
class Planned:
    """A stage with its plan.

    Attributes:
        folder: where its run stands, or will; it carries the key in its name.
        does: what a start does with it: "skip", "go on", "run" or "leave".
        why: in words.
        words: its command's, with the paths of what it takes.
    """

    stage: Stage
    plan: Plan
    key: str
    folder: Path
    does: str
    why: str
    words: list[str] = field(default_factory=list)

    def output(self, name: str) -> Path:
        """Where an output of it stands, or a file in one: "model", "folder/card.md"."""
        first, _, inner = name.partition("/")
        return self.folder / outputs_of(self.plan.cfg)[first] / inner

    def left(self, name: str) -> bool:
        """Whether an output of it is there: an empty folder is none."""
        path = self.output(name)
        return any(path.iterdir()) if path.is_dir() else path.exists()


@dataclass
class Pipeline:
    """The planned stages in the order in which they run, and what speaks against them."""

    folder: Path
    stages: list[Planned] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)

    @property
    def taken(self) -> set[tuple[str, str]]:
        """The outputs that some stage takes."""
        return {item for stage in self.graph.stages for item in stage.takes}

    def look_again(self, stages: Iterable[Planned]) -> None:
        """Skip those that have finished since they were planned, with all that others take: their jobs just ended."""
        for item in (item for item in stages if item.does in (AGAIN, FRESH)):
            left = all(item.left(name) for stage, name in self.taken if stage == item.stage.name)
            if left and intent_of(item.folder)[0] == SKIPPED:
                item.does, item.why = SKIPPED, "has just finished"


def folder_of(cfg: DictConfig) -> Path:
    """A pipeline's folder: its record and its page, and its stages unless `task.store` says another place."""
    return Path(cfg.outputs) / str(cfg.name)


def outputs_of(cfg: DictConfig) -> dict[str, str]:
    """What a run leaves for others, by name, and where in its folder; a task of the user's own says it in `outputs`."""
    own = cfg.task.get("outputs")
    said: dict[str, str] = dict(OmegaConf.to_container(own)) if isinstance(own, DictConfig) else {}  # type: ignore[arg-type]
    measured = OF_BENCHMARKS if cfg.task.name == "eval" and cfg.benchmark else {}
    return {**OUTPUTS.get(str(cfg.task.name), {}), **measured, **said, **OF_ALL}


def plan_pipeline(cfg: DictConfig, where: Where = str) -> Pipeline:
    """Plan every stage of a resolved pipeline, inside a `compose.session`; nothing is written."""
    graph = graph_of(cfg.task, where)
    pipeline = Pipeline(folder_of(cfg), findings=graph.findings, graph=graph)
    store = Path(cfg.task.store or pipeline.folder).resolve()
    tasks = {stage.name: stage.task for stage in graph.stages}
    with tempfile.TemporaryDirectory(prefix="r1lab-") as beside:
        planned: dict[str, Planned] = {}
        for stage in graph.stages:
            place = where(f"task.stages.{stage.name}")
            at = place if place != f"task.stages.{stage.name}" else ""
            findings = _lacking(stage, planned, tasks, at)
            real, shown = _places(stage, planned, Path(beside))
            sound = not findings and set(stage.needs) <= planned.keys() and not stage.unreadable
            if item := _planned(stage, cfg, store, real, shown, planned) if sound else None:
                planned[stage.name] = item
                findings = item.plan.findings
            else:
                findings += _word_faults(stage, cfg, shown)
            told = {new: old for old, new in zip(real.values(), shown.values(), strict=True)}
            pipeline.findings += [_of_stage(finding, stage.name, at, told, where) for finding in findings]
    pipeline.findings = _together(pipeline.findings)
    pipeline.stages = [planned[stage.name] for stage in graph.stages if stage.name in planned]
    _make_again(pipeline)
    if not [finding for finding in pipeline.findings if finding.severity == "error"]:
        pipeline.findings += _choose(cfg, pipeline, where)
    return pipeline


def _planned(
    stage: Stage, cfg: DictConfig, store: Path, real: Outputs, shown: Outputs, planned: Mapping[str, Planned]
) -> Planned | None:
    """The plan of one stage, found in its folder; None where its words do not compose."""
    words = _with_defaults(stage.filled(shown), cfg)
    if check_words(words):
        return None
    try:
        composed, _ = compose_words(words)
    except (HydraException, OmegaConfBaseException):
        return None
    if not any(word.startswith("cluster=") for word in words):
        inherited = cfg.cluster.copy()
        for key in (word.partition("=")[0] for word in words if word.startswith("cluster.")):
            OmegaConf.update(inherited, key.partition(".")[2], OmegaConf.select(composed, key))
        composed.cluster = inherited
    composed.name = composed.name if any(word.startswith("name=") for word in words) else f"{cfg.name}-{stage.name}"
    made = plan(composed, store / stage.name, words, partial(composed_files, words))
    told = {shown[item]: real[item] for item in real}
    made.cfg = OmegaConf.create(literal(_replaced(OmegaConf.to_container(made.cfg, resolve=True), told)))
    key = key_of(made.cfg, {str(planned[name].folder): planned[name].key for name in stage.needs})
    made.run_dir = store / f"{stage.name}-{key}"
    made.facts = _replaced(made.facts, {**told, str(store / stage.name): str(made.run_dir)})
    if made.cfg.task.get("folder") is False:
        fix = "run it by itself; a stage is a task that leaves a folder"
        made.findings.append(Finding(f"task={made.cfg.task.name} leaves no folder to go on from", "task", fix=fix))
    does, why = intent_of(made.run_dir)
    said = _with_defaults(stage.filled(real), cfg)
    return Planned(stage, made, key, made.run_dir, does, why, [word for word in said if word != "dry_run=true"])


def intent_of(folder: Path) -> tuple[str, str]:
    """What a start would do with the run in a folder, and why."""
    run = RunFolder(folder)
    manifest = run.read_json("manifest.json")
    state, _ = state_of(manifest, held=False)
    if state == FINISHED and (folder / "metrics.json").is_file():
        return SKIPPED, "finished before"
    last = run.last_checkpoint()
    if last:
        return AGAIN, f"goes on from step {step_of(last)}"
    if run.resumable():
        return AGAIN, "goes on with the completions that it has"
    return FRESH, "to be run" if state in (WAITING, FINISHED) else f"{state} before"


def _with_defaults(words: list[str], cfg: DictConfig) -> list[str]:
    """A stage's words, with what it has from its pipeline where it does not say otherwise."""
    said = {word.partition("=")[0] for word in words}
    given = {"seed": cfg.seed, "plugins": f"[{','.join(cfg.plugins)}]" if cfg.plugins else None}
    given["dry_run"] = "true" if cfg.dry_run else None
    return [*words, *(f"{key}={value}" for key, value in given.items() if value is not None and key not in said)]


def _lacking(stage: Stage, planned: Mapping[str, Planned], tasks: Mapping[str, str], at: str) -> list[Finding]:
    """Outputs that a stage takes and the other one does not leave."""
    findings = []
    for name, output in stage.takes:
        task = planned[name].plan.cfg.task.name if name in planned else tasks.get(name, "")
        known = outputs_of(planned[name].plan.cfg) if name in planned else {**OUTPUTS.get(task, {}), **OF_ALL}
        if output.partition("/")[0] in known or (name not in planned and task not in OUTPUTS):
            continue
        close = nearest(output, known)
        what = f"${{stage.{name}.{output}}}: task={task} leaves no {output}"
        nearby = f"${{stage.{name}.{close}}}" if close else ""
        findings.append(Finding(what, at, nearby, f"one of: {some(known)}"))
    return findings


def _places(stage: Stage, planned: Mapping[str, Planned], beside: Path) -> tuple[Outputs, Outputs]:
    """Where what a stage takes will stand, and where the planner looks at it now."""
    real: Outputs = {}
    shown: Outputs = {}
    for name, said in stage.takes:
        output, _, inner = said.partition("/")
        if name not in planned or output not in outputs_of(planned[name].plan.cfg):
            real[name, said] = shown[name, said] = str(beside / "nothing" / name / said)
            continue
        real[name, said] = str(planned[name].output(said))
        there = planned[name].left(said) and planned[name].does == SKIPPED
        shown[name, said] = (
            real[name, said] if there else str(stand_in(planned[name].plan.cfg, beside / name, output) / inner)
        )
    return real, shown


def _word_faults(stage: Stage, cfg: DictConfig, shown: Outputs) -> list[Finding]:
    """What is wrong with the words of a stage that does not compose."""
    words = [word for word in _with_defaults(stage.filled(shown), cfg) if not ANY_TAKEN.search(word)]
    if findings := check_words(words):
        return findings
    try:
        compose_words(words)
    except (HydraException, OmegaConfBaseException) as error:
        return [finding_of(error)]
    return []


def _of_stage(finding: Finding, name: str, at: str, told: Mapping[str, str], where: Where) -> Finding:
    """A finding that says which stage it is about, and paths that will be there."""
    place = finding.where.removeprefix("override ")
    said = where(f"task.stages.{name}.{place.partition('=')[0]}") if "=" in place else ""
    at = said if said.startswith("override ") else at
    place = (
        f"stage {name}"
        + (f", {place}" if place and not place.startswith("stage ") else "")
        + (f" ({at})" if at else "")
    )
    texts = {part: _replaced(getattr(finding, part), told) for part in ("what", "nearest", "fix")}
    return replace(finding, where=_replaced(place, told), **texts)


def _together(findings: list[Finding]) -> list[Finding]:
    """Findings of which each is said once, where it was met first and in how many stages besides."""
    same: dict[tuple[str, str, str, str], list[Finding]] = {}
    for item in findings:
        same.setdefault((item.what, item.nearest, item.fix, item.severity), []).append(item)
    found = []
    for first, *others in same.values():
        more = f", and {plural(len(others), 'other stage')}" if others else ""
        found.append(replace(first, where=f"{first.where}{more}"))
    return found


def _replaced(value: Any, told: Mapping[str, str]) -> Any:
    """Texts at any depth with paths replaced."""
    if isinstance(value, str):
        for old, new in told.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {key: _replaced(item, told) for key, item in value.items()}
    return [_replaced(item, told) for item in value] if isinstance(value, list) else value


def _make_again(pipeline: Pipeline) -> None:
    """Run stages again that have finished and whose output is gone, where another one that is to run takes it."""
    by_name = {item.stage.name: item for item in pipeline.stages}
    for item in reversed(pipeline.stages):
        for name, said in item.stage.takes if item.does != SKIPPED else ():
            other = by_name[name]
            if other.does == SKIPPED and not other.left(said):
                other.does, other.why = FRESH, f"its {said} is gone, and {item.stage.name} takes it"


def _choose(cfg: DictConfig, pipeline: Pipeline, where: Where) -> list[Finding]:
    """Leave out what `task.from` and `task.until` leave out; what is before `from` has to be there."""
    graph, task = pipeline.graph, cfg.task
    chosen = {stage.name for stage in graph.stages}
    if task.until is not None:
        chosen &= graph.before(task.until) | {task.until}
    if task["from"] is not None:
        chosen &= graph.after(task["from"]) | {task["from"]}
    if not chosen:
        what = f"nothing lies between task.from={task['from']} and task.until={task.until}"
        fix = f"{task.until} has to be {task['from']} or a stage that needs it, or leave one of the two out"
        return [Finding(what, f"{where('task.from')}, {where('task.until')}", fix=fix)]
    needed = {name for stage in graph.stages if stage.name in chosen for name in stage.needs} - chosen
    findings = []
    for item, name in ((item, item.stage.name) for item in pipeline.stages):
        if name in chosen or item.does == SKIPPED:
            continue
        if name in needed:
            what = f"stage {name} is before task.from={task['from']}, and has not finished with these settings"
            fix = "leave task.from out, which runs it first"
            findings.append(Finding(f"{what}: {display(item.folder)}", where("task.from"), f"task.from={name}", fix))
        key = "until" if task.until is not None and name not in graph.before(task.until) | {task.until} else "from"
        item.does, item.why = LEFT, f"left out by task.{key}={task[key]}"
    return findings
