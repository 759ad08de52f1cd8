"""What a dry run prints of a pipeline: each stage with what it takes, what would become of it, and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from r1lab.config.groups import composed_files
from r1lab.plan.checks import Plan
from r1lab.plan.pipeline import AGAIN, FRESH, LEFT, SKIPPED, Pipeline, Planned, plan_pipeline
from r1lab.plan.places import where
from r1lab.wording import display, plural

PIPELINE = "pipeline"  # the task's name
SAYS = {SKIPPED: "would be skipped", AGAIN: "would go on", FRESH: "would run", LEFT: "would not run"}
SHOWN = ("per step", "steps", "in all", "verdict", "hours", "GPU hours")  # figures of a stage's own plan


def with_stages(planned: Plan, words: Sequence[str]) -> Plan:
    """A plan with what is to be said of its stages, where it is a pipeline's."""
    if planned.cfg.task.name == PIPELINE and not planned.errors:
        pipeline = plan_pipeline(planned.cfg, partial(where, overrides=words, files=partial(composed_files, words)))
        planned.findings += pipeline.findings
        planned.facts = pipeline_facts(pipeline)
        planned.run_dir = pipeline.folder
    return planned


def pipeline_facts(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Section → name → value."""
    counts = {does: sum(item.does == does for item in pipeline.stages) for does in SAYS}
    told = ", ".join(f"{count} {SAYS[does]}" for does, count in counts.items() if count)
    taken = {name for item in pipeline.stages for name in item.stage.needs}  # named where it is taken from
    shown = [item for item in pipeline.stages if item.stage.needs or item.stage.name not in taken]
    flow = {
        "flow": " · ".join(map(arrow, shown)),
        "stages": f"{plural(len(pipeline.stages), 'stage')}: {told}",
        "folder": display(pipeline.folder),
    }
    return {"pipeline": flow, **{item.stage.name: stage_facts(item) for item in pipeline.stages}}


def arrow(item: Planned) -> str:
    """A stage with those that it needs: "cold + base → rl"."""
    return f"{' + '.join(item.stage.needs)} → {item.stage.name}" if item.stage.needs else item.stage.name


def stage_facts(item: Planned) -> dict[str, Any]:
    """The rows of one stage."""
    run = item.plan.facts.get("run", {})
    rows: dict[str, Any] = {
        "does": f"{run.get('task', item.stage.task)}: model {run.get('model', '–')}; dataset {run.get('dataset', '–')}",
        "takes": takes(item) or "nothing of another stage",
        "now": f"{SAYS[item.does]}: {item.why}",
        "folder": display(item.folder),
    }
    for section in item.plan.facts.values():
        rows |= {name: value for name, value in section.items() if name in SHOWN}
    return rows


def takes(item: Planned) -> str:
    """What a stage takes from which: "model of cold, dataset of traces"."""
    return ", ".join(f"{output} of {name}" for name, output in item.stage.takes)
