"""Every reward's score of the completions of some problems, kept at once, so that no crash costs it twice.

A score depends on the completions, the columns and the reward's settings. Where machinery failed, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from r1lab.engines.base import Completion
from r1lab.evaluation.kept import kept
from r1lab.evaluation.sampling import Sampled, score
from r1lab.rewards.base import Reward


def scored(
    folder: Path,
    rows: Dataset,
    completions: list[list[Completion]],
    rewards: Sequence[Reward],
    settings: Any,
) -> Sampled:
    """The completions of some problems with their scores.

    Args:
        folder: where scores are kept.
        rows: the problems, with `prompt` and the columns that the rewards read.
        completions: of each problem, as many as there are; those that could not be made are scored by nobody.
        rewards: the rewards.
        settings: of the rewards, as JSON values.

    Raises:
        RewardError: a reward broke its contract, or too much of its machinery failed.
    """
    if not rewards or not any(completions):
        return Sampled(rows, completions, {reward.__name__: [[] for _ in completions] for reward in rewards})
    columns = sorted({name for reward in rewards for name in reward.takes} & set(rows.column_names))
    parts = [
        settings,
        [[item.text for item in row] for row in completions],
        rows["prompt"],
        *(rows[c] for c in columns),
    ]

    def judge() -> tuple[dict[str, Any], bool]:
        sampled = score(rows, completions, rewards)
        return {"scores": sampled.scores, "failures": sampled.failures}, not any(sampled.failures.values())

    found = kept(folder, parts, judge)
    return Sampled(rows, completions, found["scores"], found["failures"])
