"""What a careful colleague would point at: dead rewards, broken numbers, lost groups, and the run in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from r1lab.report.records import Run, Series
from r1lab.report.score import Score
from r1lab.report.words import duration, joined, number, value_of
from r1lab.runs.states import FINISHED

# Half of the completions cut, or four groups of five without a gradient: training goes on, but on the little that
# is left.
_CLIPPED_SHARE, _ZERO_STD_SHARE = 0.5, 0.8
SAMPLED = ("eval", "generate")  # first parts of the metrics of runs that sample once
AT = ("", "eval/", "generate/")  # where skips are logged: by the trainer, by an evaluation, by a generation
_EDGE = 0.1  # early and late mean the first and the last tenth of the logged values


@dataclass(frozen=True)
class Finding:
    """`level` is "bad" (the result cannot be trusted) or "warn" (worth a look); `title` in two words, `text` a
    sentence."""

    level: str
    title: str
    text: str


@dataclass(frozen=True)
class RewardHealth:
    """One reward's line in the table; skipped and infrastructure as "31" (counts) or "2.1 % of …" (shares), None for
    none."""

    name: str
    weight: object
    early: float | None
    late: float | None
    skipped: str | None
    infrastructure: str | None
    verdict: str  # "ok", "dead", "constant", "never verifiable" or "not logged"


def reward_health(run: Run) -> list[RewardHealth]:
    """Every reward that the config names or the stream holds, the config's order first."""
    configured = run.config.get("reward")
    weights = dict(configured) if isinstance(configured, dict) else {}
    names = [str(name) for name in weights]
    for key in run.series:
        prefix, _, name = key.partition("/")
        name = name.removesuffix("/std") if prefix == "rewards" else name
        if prefix in ("rewards", "skipped", "infrastructure_failures") and name and name not in names:
            names.append(name)
    return [_health(run, name, weights.get(name)) for name in names]


def _health(run: Run, name: str, settings: object) -> RewardHealth:
    series, spread = run.series.get(f"rewards/{name}"), run.series.get(f"rewards/{name}/std")
    if series is None and not run.trained:  # the runs that sample once log under what they do
        series = next((run.series[key] for kind in SAMPLED if (key := f"{kind}/{name}") in run.series), None)
    values = series.finite if series else np.empty(0)
    verdict = "ok"
    if not values.size:
        verdict = "not logged" if series is None else "never verifiable"
    elif not values.any():
        verdict = "dead"
    elif values.size > 1 and np.ptp(values) == 0 and (spread is None or not spread.finite.any()):
        verdict = "constant"
    early, late = edges(series)
    weight = settings.get("weight") if isinstance(settings, dict) else None
    skipped, infrastructure = (
        _amount(next((run.series[key] for at in AT if (key := f"{at}{kind}/{name}") in run.series), None))
        for kind in ("skipped", "infrastructure_failures")
    )
    return RewardHealth(name, weight, early, late, skipped, infrastructure, verdict)


def _amount(series: Series | None) -> str | None:
    """Counts are added up; shares (values between 0 and 1) are averaged."""
    if series is None or not series.finite.any():
        return None
    if np.array_equal(series.finite, np.round(series.finite)):
        return number(float(series.finite.sum()))
    return f"{number(float(series.finite.mean()))} on average"


def edges(series: Series | None) -> tuple[float | None, float | None]:
    """The means over the first and the last tenth of the finite values."""
    if series is None or not series.finite.size:
        return None, None
    count = max(1, int(series.finite.size * _EDGE))
    return float(series.finite[:count].mean()), float(series.finite[-count:].mean())


def findings(run: Run) -> list[Finding]:
    """What to know before believing the numbers, the worst first."""
    found = [*_reward_findings(run), *_number_findings(run), *_training_findings(run)]
    found += [Finding("warn", "seen during the run", text) for text in run.warnings]
    if run.damage:
        found.append(Finding("warn", "incomplete folder", " ".join(run.damage[:8])))
    return sorted(found, key=lambda finding: finding.level != "bad")


def _reward_findings(run: Run) -> list[Finding]:
    found = []
    any_reward = any(key.startswith("rewards/") for key in run.series)
    for reward in reward_health(run):
        name = reward.name
        if reward.verdict == "dead":
            text = f"{name} was 0 at every logged step and taught nothing: its parser, column or sandbox may be wrong."
            found.append(Finding("bad", "dead reward", text))
        elif reward.verdict == "constant":
            text = f"{name} had the same value, {number(reward.late)}, at every logged step: it taught nothing."
            found.append(Finding("warn", "constant reward", text))
        elif reward.verdict == "never verifiable":
            text = f"{name} had no value at any logged step: not one answer could be verified."
            found.append(Finding("bad", "dead reward", text))
        elif reward.verdict == "not logged" and any_reward:
            found.append(Finding("warn", "reward not logged", f"{name} never appears in metrics.jsonl."))
        if reward.infrastructure:
            text = f"{name}: {reward.infrastructure} could not be judged because the machinery failed, not the answers."
            found.append(Finding("bad", "infrastructure failures", text))
        if reward.skipped:
            text = f"{name}: {reward.skipped} skipped as not verifiable."
            found.append(Finding("warn", "skipped", text))
    return found


def _number_findings(run: Run) -> list[Finding]:
    broken = [
        f"{key} from step {s.first_not_finite:,}" for key, s in run.series.items() if s.first_not_finite is not None
    ]
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    text = f"Not a number, or infinite: {', '.join(broken[:5])}{more}."
    return [Finding("bad", "broken numbers", text)] if broken else []


def _training_findings(run: Run) -> list[Finding]:
    found = []
    _, clipped = edges(run.series.get("completions/clipped_ratio"))
    if clipped is not None and clipped > _CLIPPED_SHARE:
        text = f"At the end {clipped:.0%} of the completions hit the length limit, so their answers were never seen."
        found.append(Finding("warn", "cut completions", text))
    _, flat = edges(run.series.get("frac_reward_zero_std"))
    if flat is not None and flat > _ZERO_STD_SHARE:
        text = (
            f"At the end {flat:.0%} of the groups had one reward throughout and gave no gradient: too easy or too hard."
        )
        found.append(Finding("warn", "no signal", text))
    return found


def plain_words(run: Run, result: Score | None) -> list[str]:
    """The run in sentences worked out from its numbers, for a run that left no notes of its own."""
    sentences = []
    if result and result.before and result.after:
        before, after = value_of(result.key, result.before.value), value_of(result.key, result.after.value)
        verb = "went" if result.before.value != result.after.value else "stayed:"
        judgement = {
            True: "; the intervals are apart",
            False: "; the intervals overlap, so this may be chance",
            None: "",
        }
        sentences.append(f"{result.key} {verb} from {before} to {after}{judgement[result.apart]}.")
    elif result and result.after:
        sentences.append(f"{result.key} is {value_of(result.key, result.after.value)}.")
    elif result and result.before:
        sentences.append(
            f"{result.key} was {value_of(result.key, result.before.value)} before training, not measured since."
        )
    for key, name in (
        ("reward", "the mean reward"),
        ("completions/mean_length", "the mean completion"),
        ("loss", "the loss"),
    ):
        series = run.series.get(key)
        early, late = edges(series)
        if early is not None and series is not None and series.finite.size > 1:
            unit = " tokens" if "length" in key else ""
            sentences.append(
                f"From first to last tenth, {name} went from {number(early, 3)} to {number(late, 3)}{unit}."
            )
    dead = [reward.name for reward in reward_health(run) if reward.verdict == "dead"]
    if dead:
        sentences.append(f"Nothing was learnt from {joined(dead)}, which never left 0.")
    if run.status != FINISHED and run.last_step is not None:
        sentences.append(f"The last step on record is {run.last_step:,}, after {duration(run.seconds)}.")
    return sentences
