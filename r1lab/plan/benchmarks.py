"""What benchmarks say of themselves, checked before anything is loaded: sources, numbers, prompts, the context."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from r1lab.config.prompt_templates import names_of, read_wording
from r1lab.errors import ConfigError, Finding
from r1lab.plan.fields import Where
from r1lab.rows.look import look
from r1lab.rows.mixture import shipped
from r1lab.wording import nearest, plural, some

FORMS = ("text", "choices", "program", "contest")
SOURCES = ("path", "repo", "dataset")
PROMPT_ROOM = 512  # tokens that a problem may well have
NUMBERS: dict[str, tuple[float, float, str]] = {
    "samples": (1, math.inf, "1 or more"),
    "problems": (1, math.inf, "1 or more; null for all"),
    "max_tokens": (1, math.inf, "1 or more"),
    "temperature": (0, math.inf, "0 or more"),
    "top_p": (1e-6, 1, "above 0, at most 1"),
}


def check_benchmarks(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about the benchmarks that are chosen, and about a task that evaluates none."""
    chosen = cfg.get("benchmark") or {}
    if chosen and cfg.task.name != "eval":
        what = f"task={cfg.task.name} evaluates no benchmark"
        return [Finding(what, where("benchmark"), "task=eval", "leave benchmark= out")]
    findings, only = [], cfg.task.get("only")
    if only is not None and only not in chosen:
        close = nearest(str(only), map(str, chosen))
        nearby = f"task.only={close}" if close else ""
        what = f"task.only={only} is none of the benchmarks that are chosen"
        findings.append(Finding(what, where("task.only"), nearby, some(map(str, chosen)) or "benchmark=[…]"))
    for name, benchmark in chosen.items():
        key = f"benchmark.{name}"
        findings += _check_source(key, benchmark, where) + _check_numbers(key, benchmark, where)
        findings += _check_words(key, benchmark, where) + _check_room(cfg, key, benchmark, where)
    return findings


def _check_source(key: str, benchmark: DictConfig, where: Where) -> list[Finding]:
    said = [name for name in SOURCES if benchmark.get(name)]
    if not said:
        return [Finding(f"{key} names no problems", where(key), fix=f"{key}.path=FILE, {key}.repo=ORG/NAME")]
    if said[0] == "path":
        found = look(str(benchmark.path), None, benchmark.split, where(f"{key}.path"), f"{key}.path", most=1)
        return list(found.faults)
    if said[0] == "repo" and Path(str(benchmark.repo)).is_absolute() and not Path(str(benchmark.repo)).is_dir():
        return [Finding(f"{key}.repo={benchmark.repo}: there is no such folder", where(f"{key}.repo"))]
    if said[0] == "dataset" and benchmark.dataset not in shipped():
        close = nearest(str(benchmark.dataset), shipped())
        what = f"{key}.dataset: there is no dataset {benchmark.dataset!r}"
        fix = f"one of: {some(shipped())}; or {key}.path=FILE"
        return [Finding(what, where(f"{key}.dataset"), f"{key}.dataset={close}" if close else "", fix)]
    return []


def _check_numbers(key: str, benchmark: DictConfig, where: Where) -> list[Finding]:
    findings = []
    for name, (low, high, range_) in NUMBERS.items():
        value = benchmark.get(name)
        if value is not None and not low <= value <= high:
            findings.append(Finding(f"{key}.{name}={value} is out of range", where(f"{key}.{name}"), fix=range_))
    if odd := [k for k in benchmark.k if not isinstance(k, int) or k < 1]:
        findings.append(Finding(f"{key}.k holds {odd[0]!r}", where(f"{key}.k"), fix=f"whole numbers: {key}.k=[1,8]"))
    elif (most := max(benchmark.k, default=1)) > benchmark.samples:
        what = f"pass@{most} needs as many samples per problem; {key}.samples is {benchmark.samples}"
        findings.append(Finding(what, where(f"{key}.k"), fix=f"{key}.samples={most} or {key}.k=[{benchmark.samples}]"))
    if benchmark.temperature == 0 and benchmark.samples > 1 and benchmark.form != "contest":
        what = f"{key}: at temperature 0 all {benchmark.samples} samples of a problem are the same"
        findings.append(Finding(what, where(f"{key}.temperature"), fix=f"{key}.samples=1 {key}.k=[1]"))
    return findings


def _check_words(key: str, benchmark: DictConfig, where: Where) -> list[Finding]:
    findings = []
    if benchmark.form not in FORMS:
        close = nearest(str(benchmark.form), FORMS)
        what = f"{key}.form does not know {benchmark.form!r}"
        nearby = f"{key}.form={close}" if close else ""
        findings.append(Finding(what, where(f"{key}.form"), nearby, f"one of: {some(FORMS)}"))
    if benchmark.form == "choices" and not benchmark.answer:
        findings.append(Finding(f"{key}.answer has no value", where(f"{key}.answer"), fix=f"{key}.answer=COLUMN"))
    if benchmark.form == "contest" and not benchmark.id:
        what = f"{key}.id has no value: the subtasks of a problem have its name in common"
        findings.append(Finding(what, where(f"{key}.id"), fix=f"{key}.id=COLUMN"))
    if not (benchmark.scorer or {}).get("_target_"):
        what, fix = f"{key}.scorer names no function", "scorer: {_target_: PACKAGE.MODULE.FUNCTION}"
        findings.append(Finding(what, where(f"{key}.scorer"), fix=fix))
    try:
        place = where(f"{key}.prompt")
        text, place = read_wording(str(benchmark.prompt), place, f"{key}.prompt")
        names_of(text, place, f"{key}.prompt")
    except ConfigError as error:
        findings += [replace(item, where=item.where or where(f"{key}.prompt")) for item in error.findings]
    return findings


def _check_room(cfg: DictConfig, key: str, benchmark: DictConfig, where: Where) -> list[Finding]:
    """Whether a prompt and its completion fit into the model's context, as far as that is known here."""
    contexts = {"engine.max_model_len": cfg.engine.max_model_len, "model.context": cfg.model.get("context")}
    said, room = min(
        ((name, value) for name, value in contexts.items() if value), key=lambda item: item[1], default=("", 0)
    )
    if not said or benchmark.max_tokens < room:
        return []
    what = f"{key}.max_tokens={benchmark.max_tokens} leaves no room for a prompt in {said}={room}"
    fewer = max(1, room - PROMPT_ROOM) if room > PROMPT_ROOM else max(1, room // 2)
    larger = f"engine.max_model_len={benchmark.max_tokens + PROMPT_ROOM}, or " if said == "engine.max_model_len" else ""
    return [Finding(what, where(f"{key}.max_tokens"), fix=f"{larger}{key}.max_tokens={fewer}")]


def benchmark_facts(cfg: DictConfig) -> str:
    """The benchmarks of a run, for the plan."""
    return ", ".join(f"{name} × {plural(item.samples, 'sample')}" for name, item in cfg.benchmark.items())
