"""Reading a run's folder: which files it has, and what they mean. Only a folder that is not there is an error."""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r1lab.errors import ReportError
from r1lab.report.checkpoints import of_checkpoints
from r1lab.report.files import json_lines, json_object, log_tail, mapping, text
from r1lab.report.status import seconds_between, status_of
from r1lab.report.words import cut
from r1lab.runs.states import FAILED

_FILES = ("run.yaml", "manifest.json", "metrics.jsonl", "metrics.json")
_TEXT_LIMIT, _PROMPT_LIMIT, _CONFIG_LIMIT = 6_000, 2_000, 100_000
_PROMPTS_KEPT, _LATE_KEPT = 1_000, 64
# r1lab writes NaN as null, since JSON has no word for it; a single reward may be null honestly (nothing verifiable).
_ALWAYS_FINITE = ("loss", "grad_norm", "learning_rate", "reward", "reward_std", "kl", "entropy")


@dataclass(frozen=True)
class Series:
    """One metric over the steps, ascending, each step once. A value written as null or not finite is NaN here."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    first_not_finite: int | None = None  # the first step with NaN or ±infinity

    @property
    def finite(self) -> NDArray[np.float64]:
        known: NDArray[np.float64] = self.values[np.isfinite(self.values)]
        return known

    @property
    def last(self) -> float | None:
        return float(self.finite[-1]) if self.finite.size else None

    def at(self, step: float) -> float | None:
        """The value at exactly this step, if there is one."""
        found = self.values[self.steps == step]
        return float(found[0]) if found.size and np.isfinite(found[0]) else None


@dataclass(frozen=True)
class Completion:
    """One sampled completion; prompt and text cut to what a page can hold, `prompt_id` telling prompts apart uncut."""

    step: int
    prompt: str
    text: str
    solution: str | None
    rewards: dict[str, float | None]
    tokens: int | None
    finish: str | None
    prompt_id: int


@dataclass(frozen=True)
class Run:
    """What a run's folder holds. `status` is one of `runs.states`; `cause` says why it is not finished."""

    path: Path
    config: dict[str, Any]
    config_text: str
    manifest: dict[str, Any]
    series: dict[str, Series]
    summary: dict[str, Any]
    completions: dict[str, list[Completion]]
    status: str
    cause: str | None
    seconds: float | None
    seconds_known: bool  # False: the end was not recorded, `seconds` is the time of the last metrics line
    warnings: list[str] = field(default_factory=list)  # of the flight recorder, in its words
    log_tail: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.config.get("name") or self.path.name)

    @property
    def last_step(self) -> int | None:
        return max((int(s.steps[-1]) for s in self.series.values() if s.steps.size), default=None)

    @property
    def trained(self) -> bool:
        """Whether this is a run that trains: the others evaluate once, and that is their result."""
        return bool(self.config.get("trainer")) or any(
            key in self.series for key in ("loss", "reward", "learning_rate", "grad_norm")
        )


def is_run(folder: Path) -> bool:
    """Whether a folder holds any file that a run writes."""
    return any((folder / name).is_file() for name in _FILES)


def read_run(run_dir: Path) -> Run:
    """Read a run's folder, whole or not.

    Completions are kept for up to 1,000 prompts (the earliest and the latest of each), and the last 64 lines of the
    file. Raises ReportError when `run_dir` is not a folder that can be listed.
    """
    run_dir = Path(run_dir)
    try:
        next(run_dir.iterdir(), None)
    except OSError as error:
        raise ReportError(f"{run_dir} is not a run's folder that can be read: {error.strerror or error}") from error
    damage: list[str] = []
    config_text = text(run_dir / "run.yaml", damage) or ""
    manifest = json_object(run_dir / "manifest.json", damage)
    summary = json_object(run_dir / "metrics.json", damage, expected=False)
    series, last_time = _metrics(run_dir / "metrics.jsonl", damage)
    for key, points in of_checkpoints(run_dir / "evaluations").items():
        series[key] = _series(array("d", points), array("d", points.values()), None)
    status, cause = status_of(run_dir, manifest, bool(series or summary))
    seconds = seconds_between(manifest.get("started"), manifest.get("ended"))
    return Run(
        path=run_dir,
        config=mapping(config_text, damage),
        config_text=cut(config_text, _CONFIG_LIMIT),
        manifest=manifest,
        series=series,
        summary=summary,
        completions={
            kind: _completions(run_dir / "completions" / f"{kind}.jsonl", damage) for kind in ("eval", "train")
        },
        status=status,
        cause=cause,
        seconds=last_time if seconds is None else seconds,
        seconds_known=seconds is not None,
        warnings=[
            f"Step {int(record['step']):,}: {record.get('text', '')}."
            for record in json_lines(run_dir / "warnings.jsonl", damage, expected=False)
        ],
        log_tail=log_tail(run_dir / "run.log") if status == FAILED else [],
        damage=damage,
    )


def _metrics(path: Path, damage: list[str]) -> tuple[dict[str, Series], float | None]:
    steps: dict[str, array[float]] = {}
    values: dict[str, array[float]] = {}
    first_bad: dict[str, int] = {}
    last_time = None
    for record in json_lines(path, damage):
        step = record.pop("step")
        time = _float(record.pop("time", None))
        if time is not None and math.isfinite(time):
            last_time = time if last_time is None else max(last_time, time)
        for key, written in record.items():
            value = math.nan if written is None else _float(written)
            if value is None:
                continue
            if not math.isfinite(value):
                if written is not None or key in _ALWAYS_FINITE:
                    first_bad.setdefault(key, step)
                value = math.nan
            steps.setdefault(key, array("d")).append(step)
            values.setdefault(key, array("d")).append(value)
    return {key: _series(steps[key], values[key], first_bad.get(key)) for key in steps}, last_time


def _series(steps: array[float], values: array[float], first_bad: int | None) -> Series:
    """Ascending, the line written last winning: a resumed run writes the steps after its checkpoint a second time."""
    backwards = np.asarray(steps)[::-1]
    unique, index = np.unique(backwards, return_index=True)
    return Series(unique, np.asarray(values)[::-1][index], first_bad)


def _float(value: object) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _completions(path: Path, damage: list[str]) -> list[Completion]:
    first: dict[int, Completion] = {}
    latest: dict[int, Completion] = {}
    tail: deque[Completion] = deque(maxlen=_LATE_KEPT)
    for record in json_lines(path, damage, expected=False):
        prompt = str(record.get("prompt") or "")
        rewards = record.get("rewards")
        solution, tokens, finish = (record.get(key) for key in ("solution", "tokens", "finish"))
        completion = Completion(
            step=record["step"],
            prompt=cut(prompt, _PROMPT_LIMIT),
            text=cut(str(record.get("completion") or ""), _TEXT_LIMIT),
            solution=None if solution is None else cut(str(solution), _PROMPT_LIMIT),
            rewards={str(k): _float(v) for k, v in rewards.items()} if isinstance(rewards, dict) else {},
            tokens=tokens if isinstance(tokens, int) else None,
            finish=finish if isinstance(finish, str) else None,
            prompt_id=hash(prompt),
        )
        tail.append(completion)
        if completion.prompt_id in first:
            if completion.step > latest.get(completion.prompt_id, first[completion.prompt_id]).step:
                latest[completion.prompt_id] = completion
        elif len(first) < _PROMPTS_KEPT:
            first[completion.prompt_id] = completion
    return list({id(c): c for c in (*first.values(), *latest.values(), *tail)}.values())
