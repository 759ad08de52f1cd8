"""Sampling held-out problems and scoring what comes back: what training's evaluations and task=eval share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from r1lab.data.loading import last_user_text
from r1lab.engines.base import Completion, Engine, OnProgress, Sampling
from r1lab.evaluation.metrics import Estimate, estimate
from r1lab.rewards.base import Failure, Reward, scores_of
from r1lab.runs.completions import completion_line
from r1lab.terminal import lengthy
from r1lab.wording import plural

Diagnose = Callable[[Sequence[str], Sequence[str]], dict[str, float]]
FULL_MARKS = 1.0


@dataclass
class Sampled:
    """n completions for each problem, with every reward's score.

    Attributes:
        rows: the problems.
        completions: (problems, n).
        scores: reward name → (problems, n); None where a reward skipped or failed.
        failures: reward name → completions of which a reward's infrastructure failed.
    """

    rows: Dataset
    completions: list[list[Completion]]
    scores: dict[str, list[list[float | None]]] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def without_rows(self) -> Sampled:
        """What was made of the problems, without them: small enough to be passed around."""
        return Sampled(self.rows.select([]), self.completions, self.scores, self.failures)

    def mean(self, name: str) -> Estimate | None:
        """A reward's mean over problems with its interval; None where it scored nothing or is not a share."""
        means = [mean for row in self.scores[name] if (mean := mean_of(row)) is not None]
        if not means or not all(0.0 <= s <= 1.0 for row in self.scores[name] for s in row if s is not None):
            return None
        return estimate(means)

    def right(self, name: str) -> list[dict[int, bool]]:
        """For each problem, sample → whether it has full marks by a reward; samples it skipped are left out."""
        return [
            {i: score >= FULL_MARKS for i, score in enumerate(row) if score is not None} for row in self.scores[name]
        ]

    def records(self, step: int) -> list[dict[str, Any]]:
        """One record per completion, as `completions/*.jsonl` holds them."""
        return [
            completion_line(
                step=step,
                problem=i,
                sample=j,
                prompt=last_user_text(row["prompt"]),
                completion=completion.text,
                solution=row.get("solution"),
                rewards={name: scores[i][j] for name, scores in self.scores.items()},
                tokens=completion.tokens,
                finish=completion.finish,
            )
            for i, row in enumerate(self.rows)
            for j, completion in enumerate(self.completions[i])
        ]


def mean_of(scores: Sequence[float | None]) -> float | None:
    """The mean of the scores that are there."""
    there = [score for score in scores if score is not None]
    return sum(there) / len(there) if there else None


def sample_and_score(
    engine: Engine, rows: Dataset, rewards: Sequence[Reward], sampling: Sampling, on_progress: OnProgress | None = None
) -> Sampled:
    """Sample each row's prompt and let every reward score the completions.

    Rewards get what a trainer gives them: the columns, `prompts`, and `completion_ids` where the engine knows them.

    Args:
        rows: with `prompt` and the columns that the rewards read.

    Raises:
        RewardError: a reward broke its contract, or too much of its machinery failed.
    """
    return score(rows, engine.generate(rows["prompt"], sampling, on_progress), rewards)


def score(rows: Dataset, completions: list[list[Completion]], rewards: Sequence[Reward]) -> Sampled:
    """Let every reward score completions that are there already, of each row as many as there are.

    Raises:
        RewardError: a reward broke its contract, or too much of its machinery failed.
    """
    sampled = Sampled(rows, completions)
    counts = [len(row) for row in completions]
    columns = {
        name: [value for value, n in zip(rows[name], counts, strict=True) for _ in range(n)]
        for name in rows.column_names
    }
    every = [completion for row in completions for completion in row]
    texts = [completion.text for completion in every]
    columns["prompts"] = columns.pop("prompt")
    if all(completion.ids is not None for completion in every):
        columns["completion_ids"] = [list(completion.ids or ()) for completion in every]
    for reward in rewards:
        with lengthy(f"judging {plural(len(texts), 'completion')} by {reward.__name__}"):
            marks = reward.judge(texts, **columns)
        reward.refuse_failures(marks)
        flat = iter(scores_of(marks))
        sampled.scores[reward.__name__] = [[next(flat) for _ in range(n)] for n in counts]
        sampled.failures[reward.__name__] = sum(isinstance(mark, Failure) for mark in marks)
    return sampled


def without_score(prefix: str, name: str, missing: int, failed: int, count: int) -> dict[str, float]:
    """Shares of completions that a reward gave no score: those it cannot verify, those its machinery failed on.

    Args:
        prefix: of the metrics.
        name: the reward's.
        missing: completions without a score, for either cause.
        failed: those of them where its machinery failed.
        count: all completions.

    Returns:
        `PREFIX/skipped/NAME` and `PREFIX/infrastructure_failures/NAME`, each where there are some.
    """
    shares = {"skipped": missing - failed, "infrastructure_failures": failed}
    return {f"{prefix}/{key}/{name}": times / count for key, times in shares.items() if times}


def summary(sampled: Sampled, diagnose: Diagnose | None = None, prefix: str = "eval") -> dict[str, float]:
    """Metrics of a sampling: each reward's mean with its interval, length, truncation, skips, failures, diagnosis."""
    metrics: dict[str, float] = {}
    for name, scores in sampled.scores.items():
        estimated = sampled.mean(name)
        if estimated:
            metrics |= estimated.record(f"{prefix}/{name}")
        elif (plain := mean_of([score for row in scores for score in row])) is not None:
            metrics[f"{prefix}/{name}"] = plain
        missing = sum(score is None for row in scores for score in row)
        count = sum(map(len, scores))
        metrics |= without_score(prefix, name, missing, sampled.failures.get(name, 0), count)
    flat = [completion for row in sampled.completions for completion in row]
    metrics[f"{prefix}/length"] = sum(item.tokens for item in flat) / max(1, len(flat))
    metrics[f"{prefix}/truncated"] = sum(item.finish == "length" for item in flat) / max(1, len(flat))
    if diagnose:
        n = len(flat) // max(1, len(sampled.rows))
        prompts = [last_user_text(prompt) for prompt in sampled.rows["prompt"] for _ in range(n)]
        metrics |= {f"{prefix}/{key}": value for key, value in diagnose(prompts, [item.text for item in flat]).items()}
    return metrics
