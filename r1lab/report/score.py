"""What a run was for, in one pair of numbers: its evaluation before and after, each with its 95 % interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from r1lab.report.records import Run

_LOWER_IS_BETTER = ("loss", "perplexity", "kl", "seconds", "time", "skipped", "failures", "clipped_ratio")


@dataclass(frozen=True)
class Estimate:
    """A metric's value; `low` and `high` bound its 95 % interval, `step` says when, None standing for the final
    summary."""

    value: float
    low: float | None = None
    high: float | None = None
    step: int | None = None


@dataclass(frozen=True)
class Score:
    """The headline's metric, before and after training; either may be missing."""

    key: str
    before: Estimate | None
    after: Estimate | None

    @property
    def change(self) -> float | None:
        return self.after.value - self.before.value if self.before and self.after else None

    @property
    def improved(self) -> bool:
        return bool(self.change) and (self.change or 0.0) * (-1 if lower_is_better(self.key) else 1) > 0

    @property
    def apart(self) -> bool | None:
        """Whether the two intervals are apart; None when either is unknown."""
        if not self.before or not self.after:
            return None
        a, b = self.before, self.after
        if a.low is None or a.high is None or b.low is None or b.high is None:
            return None
        return a.high < b.low or b.high < a.low


def score(run: Run) -> Score | None:
    """The headline's pair: of eval/accuracy, else of the run's objective, else of its first eval metric. None without
    one.

    The summary's figures come first. A run that was killed has none: then the last evaluation in metrics.jsonl counts
    as "after", the one at step 0 of a training run as "before".
    """
    named = run.summary.get("objective")
    wanted = ["eval/accuracy", *([named] if isinstance(named, str) else [])]
    wanted += [key for key in (*run.series, *run.summary) if key.startswith("eval/") and is_value(key)]
    for key in wanted:
        before, after = _before(run, key), final(run, key)
        if before or after:
            return Score(key, before, after)
    return None


def final(run: Run, key: str) -> Estimate | None:
    """A metric at the end of the run: from the summary, else its last value in the stream (not the one before
    training)."""
    value = as_number(run.summary.get(key))
    if value is not None:
        return Estimate(value, as_number(run.summary.get(f"{key}_low")), as_number(run.summary.get(f"{key}_high")))
    series = run.series.get(key)
    if series is None or not series.finite.size:
        return None
    step = int(series.steps[np.isfinite(series.values)][-1])
    return None if run.trained and step <= 0 and key.startswith("eval/") else _from_stream(run, key, step)


def _before(run: Run, key: str) -> Estimate | None:
    value = as_number(run.summary.get(f"{key}_before"))
    if value is not None:
        ends = ((f"{key}_before_{end}", f"{key}_{end}_before") for end in ("low", "high"))  # either order is written
        low, high = (as_number(run.summary.get(a, run.summary.get(b))) for a, b in ends)
        return Estimate(value, low, high)
    return _from_stream(run, key, 0) if run.trained else None


def _from_stream(run: Run, key: str, step: int) -> Estimate | None:
    value, low, high = (run.series[k].at(step) if k in run.series else None for k in (key, f"{key}_low", f"{key}_high"))
    return None if value is None else Estimate(value, low, high, step)


def is_value(key: str) -> bool:
    """Whether a key names a metric of its own, not the bound of another's interval."""
    return not key.endswith(("_low", "_high", "_before"))


def lower_is_better(key: str) -> bool:
    """Whether less of this metric is better: losses, divergences, times, failures."""
    leaf = key.rsplit("/", 1)[-1]
    return any(word in leaf.split("_") or leaf == word for word in _LOWER_IS_BETTER) or key.startswith(
        ("skipped/", "infra")
    )


def as_number(value: object) -> float | None:
    """A finite number, also one written as text ("1e-4", as YAML reads it); None for anything else, true and false
    too."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None
