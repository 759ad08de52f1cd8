"""Every reward's score of the completions of some problems, kept at once, so that no crash costs it twice.

A score depends on the completions, the columns and the reward's settings; all of it is in the name of the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from r1lab.engines.base import Completion
from r1lab.evaluation.sampling import Sampled, score
from r1lab.rewards.base import Reward
from r1lab.runs.folder import dumps, write_atomic


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
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode("utf-8", "backslashreplace"))
    file = folder / f"{digest.hexdigest()[:32]}.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        return Sampled(rows, completions, found["scores"], found["failures"])
    sampled = score(rows, completions, rewards)
    write_atomic(file, dumps({"scores": sampled.scores, "failures": sampled.failures}))
    return sampled
