"""task=rescore: apply rewards to completions that are there already, and show where two rewards disagree.

No model is loaded and nothing is sampled. Leaves `completions/eval.jsonl` (every completion with its new scores, and as
`stored.NAME` those it had), `disagreements.jsonl` (the completions that pass by one of the two rewards alone, furthest
apart first) and `rescore.json`, the table of the page.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import ConfigError, DataError, Finding
from r1lab.evaluation.disagreement import Disagreement, compare, worst
from r1lab.evaluation.metrics import estimate
from r1lab.evaluation.sampling import without_score
from r1lab.rewards.base import Failure, Reward, Score, build_all, scores_of
from r1lab.rows.completions import STORED, find, rows_of, text_of
from r1lab.runs import manifest
from r1lab.runs.completions import completion_line
from r1lab.runs.folder import RunFolder
from r1lab.tasks.quiet import quiet
from r1lab.wording import plural, some

log = logging.getLogger("r1lab")
RECORD, APART = "rescore.json", "disagreements.jsonl"
OWN = ("completion", "completions", "rewards", "messages", "prompt")  # of a row, not a column for rewards
Row = dict[str, Any]


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Score stored completions.

    Returns:
        `rescore/<reward>` means with their intervals over problems, and of the two that are compared
        `rescore/correlation` and `rescore/disagree`, the share that passes by one of them alone.

    Raises:
        ConfigError: a reward reads what was not kept.
        DataError: the completions cannot be read.
        RewardError: a reward broke its contract, or too much of its machinery failed.
    """
    quiet()
    began = time.monotonic()
    rewards = build_all(cfg)
    rows = read(cfg)
    refuse_missing(rows, rewards)
    scores, failed = judge(rows, rewards)
    kept = stored(rows)
    every = {**scores, **{f"{STORED}{name}": values for name, values in kept.items()}}
    names = pair_of(cfg, list(scores), list(kept))
    folder.rewrite("completions/eval.jsonl", (shown(row, place, every) for place, row in enumerate(rows)))
    manifest.add(folder, dataset={"rows": len(rows), "fingerprint": str(cfg.task.completions)})
    metrics = metrics_of(rows, scores, failed)
    said = [f"{plural(len(rows), 'completion')} of {plural(len(set(map(problem_of, rows))), 'problem')} scored again."]
    if names:
        least = least_of(cfg)
        table = compare(names, every[names[0]], every[names[1]], least)
        apart = worst(every[names[0]], every[names[1]], least)
        listed = [shown(rows[i], i, every) for i in apart]
        folder.rewrite(APART, listed)
        folder.write_json(RECORD, {**table.record(), "least": list(least), "worst": listed[: cfg.task.shown]})
        metrics |= {"rescore/disagree": table.differ / max(1, table.both)}
        metrics |= {} if table.correlation is None else {"rescore/correlation": table.correlation}
        said += sentences(table)
    seconds = round(time.monotonic() - began, 2)
    folder.rewrite("metrics.jsonl", [{"step": 0, "time": seconds, **metrics}])
    return {**metrics, "completions": len(rows), "rescore_seconds": seconds, "notes": said}


def read(cfg: DictConfig) -> list[Row]:
    """The completions, those of one step or of the first problems where the task says so.

    Raises:
        DataError: a row cannot be read or holds no text, or none is left.
    """
    found = find(str(cfg.task.completions), cfg.task.stream)
    if found.faults:
        raise DataError("\n".join(item.text() for item in found.faults))
    rows: list[Row] = []
    for number, row in enumerate(rows_of(found), 1):
        if isinstance(row, Finding):
            raise DataError(row.text())
        text = text_of(row)
        if text is None:
            raise DataError(f"{cfg.task.completions}: completion {number:,} has no text: {str(row)[:200]}")
        rows.append({**row, "completion": text})
    if cfg.task.step is not None:
        steps = sorted({int(row["step"]) for row in rows if row.get("step") is not None})
        wanted = steps[-1] if cfg.task.step == -1 and steps else cfg.task.step
        if wanted not in steps:
            raise DataError(
                f"task.step={wanted}: there is no completion of that step\n    fix      one of {steps[:20]}"
            )
        rows = [row for row in rows if row.get("step") == wanted]
    if cfg.task.problems is not None:
        first = list(dict.fromkeys(map(problem_of, rows)))[: cfg.task.problems]
        rows = [row for row in rows if problem_of(row) in set(first)]
    if not rows:
        raise DataError(f"{cfg.task.completions} holds no completion")
    return rows


def problem_of(row: Row) -> str:
    """What tells problems apart: the prompt, else the number of the problem, else a store's key."""
    for name in ("prompt", "problem", "row", "key"):
        if row.get(name) is not None:
            return repr(row[name])
    return ""


def refuse_missing(rows: Sequence[Row], rewards: Sequence[Reward]) -> None:
    """Refuse rewards that read what no completion was kept with.

    Raises:
        ConfigError: naming each.
    """
    columns = {name for row in rows[:1000] for name in row} | {"prompts"}
    findings = [
        Finding(f"reward {reward.__name__} reads {name!r}, which was not kept with the completions", fix=some(columns))
        for reward in rewards
        for name in reward.needs
        if name not in columns
    ]
    if findings:
        raise ConfigError(findings)


def judge(rows: Sequence[Row], rewards: Sequence[Reward]) -> tuple[dict[str, list[Score]], dict[str, int]]:
    """Every reward's scores of the completions, in order, and on how many of them its machinery failed."""
    columns: dict[str, list[Any]] = {"prompts": [turns_of(row) for row in rows]}
    for name in {name for row in rows for name in row} - set(OWN):
        columns[name] = [row.get(name) for row in rows]
    if "solution" in columns:
        columns["solution"] = [None if value is None else str(value) for value in columns["solution"]]
    scores: dict[str, list[Score]] = {}
    failures: dict[str, int] = {}
    for reward in rewards:
        marks = reward.judge([row["completion"] for row in rows], **columns)
        reward.refuse_failures(marks)
        failures[reward.__name__] = failed = sum(isinstance(mark, Failure) for mark in marks)
        if failed:
            log.warning("reward %s could not judge %d completions: its machinery failed", reward.__name__, failed)
        scores[reward.__name__] = scores_of(marks)
    return scores, failures


def turns_of(row: Row) -> list[dict[str, str]]:
    """The conversation that a completion answers."""
    prompt = row.get("prompt")
    return prompt if isinstance(prompt, list) else [{"role": "user", "content": str(prompt or "")}]


def stored(rows: Sequence[Row]) -> dict[str, list[Score]]:
    """The scores that the completions had."""
    names = dict.fromkeys(name for row in rows for name in (row.get("rewards") or {}))
    return {str(name): [_number((row.get("rewards") or {}).get(name)) for row in rows] for name in names}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def pair_of(cfg: DictConfig, new: list[str], old: list[str]) -> tuple[str, str] | None:
    """The two rewards that are compared: as asked; else the first two; else what was stored beside the only one."""
    if cfg.task.compare is not None:
        first, second = map(str, cfg.task.compare)
        known = [*new, *(f"{STORED}{name}" for name in old)]
        if lacking := [name for name in (first, second) if name not in known]:
            raise ConfigError([Finding(f"task.compare: there is no reward {lacking[0]}", fix=f"two of: {some(known)}")])
        return first, second
    if len(new) > 1:
        return new[0], new[1]
    return (f"{STORED}{new[0] if new[0] in old else old[0]}", new[0]) if old else None


def least_of(cfg: DictConfig) -> tuple[float, float]:
    """From which score on a completion passes, for each of the two."""
    both = [*cfg.task.least, *cfg.task.least]
    return float(both[0]), float(both[1])


def metrics_of(rows: Sequence[Row], scores: dict[str, list[Score]], failed: dict[str, int]) -> dict[str, float]:
    """Each reward's mean, where it is a share with its interval over problems; the shares it skipped and failed on."""
    metrics: dict[str, float] = {}
    for name, values in scores.items():
        by_problem: dict[str, list[float]] = {}
        for row, value in zip(rows, values, strict=True):
            if value is not None:
                by_problem.setdefault(problem_of(row), []).append(value)
        means = [sum(item) / len(item) for item in by_problem.values()]
        if means and all(0 <= value <= 1 for value in means):
            metrics |= estimate(means).record(f"rescore/{name}")
        elif means:
            metrics[f"rescore/{name}"] = sum(means) / len(means)
        missing = sum(value is None for value in values)
        metrics |= without_score("rescore", name, missing, failed[name], len(values))
    return metrics


def shown(row: Row, place: int, every: dict[str, list[Score]]) -> Row:
    """A completion with all its scores, as the page reads it."""
    return completion_line(
        step=int(row.get("step") or 0),
        problem=row.get("problem", row.get("row")),
        sample=row.get("sample", row.get("index")),
        prompt=turns_of(row)[-1]["content"],
        completion=row["completion"],
        solution=row.get("solution"),
        rewards={name: values[place] for name, values in every.items()},
        tokens=row.get("tokens"),
        finish=row.get("finish"),
    )


def sentences(table: Disagreement) -> list[str]:
    """What the table says, in plain words."""
    a, b = table.names
    both, first, second, neither = table.passed
    said = [f"{a} and {b} both score {table.both:,} completions and differ on {table.differ:,} of them."]
    said.append(f"Pass by both: {both:,}; by {a} alone: {first:,}; by {b} alone: {second:,}; by neither: {neither:,}.")
    means = " and ".join(
        f"{name} {value:.4g}" for name, value in zip(table.names, table.means, strict=True) if value is not None
    )
    said.append(
        f"Means: {means}." + (f" Correlation {table.correlation:.3f}." if table.correlation is not None else "")
    )
    return said
