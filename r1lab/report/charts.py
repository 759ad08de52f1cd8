"""What stands on which chart: the stream's metrics sorted into the page's sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from r1lab.report.plots import COLOURS, Line, curves
from r1lab.report.records import Run, Series
from r1lab.report.score import is_value, lower_is_better
from r1lab.report.words import value_of

_MOST = 24  # charts in a section: keeps the page small when a run logs hundreds of metrics of its own


@dataclass(frozen=True)
class Chart:
    """`legend` holds (name, last value, colour) for each line; a colour of None is the quiet grey."""

    title: str
    hint: str
    legend: list[tuple[str, str, int | None]]
    svg: Markup


@dataclass(frozen=True)
class Section:
    title: str
    charts: list[Chart]
    left_out: list[str]  # metrics beyond the most that a section draws


# title, what to look for, the metrics on it
_TRAINING = (
    ("Reward", "mean over the batch", ("reward",)),
    ("Spread within groups", "no spread, no gradient", ("reward_std", "frac_reward_zero_std")),
    ("Completion length", "tokens", ("completions/mean_length", "completions/max_length")),
    ("Clipped share", "completions cut at the length limit", ("completions/clipped_ratio",)),
    ("Entropy", "a fall to 0 ends exploration", ("entropy",)),
    ("KL to the reference", "how far the policy has moved", ("kl",)),
    ("Loss", "", ("loss",)),
    ("Token accuracy", "share of next tokens predicted", ("mean_token_accuracy",)),
    ("Gradient norm", "", ("grad_norm",)),
    ("Learning rate", "", ("learning_rate",)),
)  # fmt: skip
_GENERATION = (
    ("Speed", "tokens a second, over the completions that are there", ("tokens_per_second",)),
    ("Failures", "completions that could not be made, over those that are there", ("failures",)),
)
_MAY_SPIKE = ("grad_norm", "loss", "kl")


def sections(run: Run) -> list[Section]:
    """The run's curves: evaluation, training, each reward apart, the rewards' problems, and the rest under "Other"."""
    series = {key: values for key, values in run.series.items() if values.finite.size}
    rewards = [key for key in series if key.startswith("rewards/") and not key.endswith("/std")]
    trouble = [k for k in series if k.startswith(("skipped/", "infrastructure_failures/")) and series[k].finite.any()]
    training = [(title, hint, [key for key in keys if key in series]) for title, hint, keys in _TRAINING]
    benchmarks = [key for key in series if key.startswith("benchmark/") and is_value(key)]
    parts = [
        ("Evaluation", _evaluation(series)),
        ("Benchmarks after checkpoints", [(key.removeprefix("benchmark/"), "", [key]) for key in benchmarks]),
        ("Generation", [(title, hint, [key for key in keys if key in series]) for title, hint, keys in _GENERATION]),
        ("Training", training),
        ("Each reward", [(key.removeprefix("rewards/"), "mean over the batch", [key]) for key in rewards]),
        ("Rewards that could not judge", [(key, "", [key]) for key in trouble]),
    ]
    shown = {key for _, charts in parts for _, _, keys in charts for key in keys}
    bounds = {f"{key}{end}" for key in shown for end in ("_low", "_high")}
    spread = {f"{key}/std" for key in rewards}
    quiet = {key for key in series if key.startswith(("skipped/", "infrastructure_failures/"))}
    other = sorted(series.keys() - shown - bounds - spread - quiet)
    parts.append(("Other", [(key, "", [key]) for key in other]))
    return [s for s in (_section(series, title, charts) for title, charts in parts) if s.charts]


def _evaluation(series: dict[str, Series]) -> list[tuple[str, str, list[str]]]:
    """Accuracy alone and first, then the other shares together, then each other metric alone."""
    keys = [key for key in series if key.startswith("eval/") and is_value(key) and key != "eval/accuracy"]
    shares = [key for key in keys if _is_share(key, series[key])][:COLOURS]
    charts = [("Eval accuracy", "band: 95 % interval", ["eval/accuracy"])] if "eval/accuracy" in series else []
    charts += [("Eval, other shares", "", shares)] if shares else []
    return charts + [(key, "", [key]) for key in keys if key not in shares]


def _is_share(key: str, values: Series) -> bool:
    return not lower_is_better(key) and values.finite.min() >= 0 and values.finite.max() <= 1


def _section(series: dict[str, Series], title: str, charts: Sequence[tuple[str, str, list[str]]]) -> Section:
    wanted = [chart for chart in charts if chart[2]]
    drawn = [_chart(series, *chart) for chart in wanted[:_MOST]]
    return Section(title, drawn, [key for _, _, keys in wanted[_MOST:] for key in keys])


def _chart(series: dict[str, Series], title: str, hint: str, keys: list[str]) -> Chart:
    lines: list[Line] = []
    legend: list[tuple[str, str, int | None]] = []
    for colour, key in enumerate(keys):
        std = series.get(f"{key}/std")
        lines.append(Line(series[key], colour, series.get(f"{key}_low"), series.get(f"{key}_high")))
        legend.append((key, value_of(key, series[key].last), colour))
        if std is not None:
            lines.append(Line(std, colour + 1))
            legend.append((f"{key}/std", value_of(f"{key}/std", std.last), colour + 1))
    may_spike = any(key in _MAY_SPIKE for key in keys)
    return Chart(title, hint, legend, curves(lines, f"{title}: {', '.join(key for key, _, _ in legend)}", may_spike))
