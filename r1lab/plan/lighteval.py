"""What evaluator=lighteval needs: its environment, a task or a form that it knows, and a wall around programs."""

from __future__ import annotations

import shutil

from omegaconf import DictConfig

from r1lab.config.evaluating import INSTALL, trouble
from r1lab.errors import Finding
from r1lab.plan.accelerators import severity_here
from r1lab.plan.fields import Where
from r1lab.wording import nearest, some

PROMPTS = ("lighteval", "benchmark")
FORMS = ("text", "choices", "program")  # that it scores


def check_lighteval(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about a run that lighteval evaluates; none of another one."""
    evaluator = cfg.get("evaluator") or {}
    if evaluator.get("name") != "lighteval" or cfg.task.name != "eval" or not cfg.get("benchmark"):
        return []
    findings, place = [], where("evaluator")
    if (prompts := evaluator.get("prompts")) not in PROMPTS:
        close = nearest(str(prompts), PROMPTS)
        nearby = f"evaluator.prompts={close}" if close else ""
        what = f"evaluator.prompts={prompts} is not known"
        findings.append(Finding(what, where("evaluator.prompts"), nearby, some(PROMPTS)))
    for name, benchmark in cfg.benchmark.items():
        if benchmark.form not in FORMS:
            what = f"lighteval does not score {name}, whose form is {benchmark.form}"
            others = ",".join(str(other) for other in cfg.benchmark if other != name)
            fix = f"or leave it out: benchmark=[{others}]" if others else ""
            findings.append(Finding(what, place, "evaluator=native", fix))
        elif prompts == "lighteval" and not benchmark.get("lighteval"):
            what = f"lighteval has no task for {name}"
            fix = f"evaluator.prompts=benchmark asks with r1lab's prompt; or benchmark.{name}.lighteval=MODULE/TASK"
            findings.append(Finding(what, place, "evaluator.prompts=benchmark", fix))
    severity = severity_here(cfg)
    if lacking := trouble(evaluator):
        fix = f"{INSTALL}; or evaluator.python=PATH of such an environment's Python; or evaluator=native"
        findings.append(Finding(f"evaluator=lighteval: {lacking}", place, fix=fix, severity=severity))
    if runs_programs(cfg) and not shutil.which("bwrap"):
        what = "lighteval runs a benchmark's programs by itself, and r1lab lets it only inside bubblewrap"
        fix = "apt install bubblewrap; or evaluator=native with sandbox=piston"
        findings.append(Finding(what, place, fix=fix, severity=severity))
    return findings


def runs_programs(cfg: DictConfig) -> bool:
    """Whether a chosen benchmark's completions are programs."""
    return any(benchmark.form == "program" for benchmark in cfg.benchmark.values())
