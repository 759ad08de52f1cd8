"""What a generation made, in numbers: lengths and ends by histogram, every reward's mean, what failed and why.

It takes the completions a few problems at a time and stays small however many there are.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from r1lab.engines.base import Completion
from r1lab.evaluation.metrics import estimate
from r1lab.evaluation.sampling import Sampled, mean_of, without_score

BINS = 24
CAUSES = 8  # of failures, in the page
CAUSE = 160  # characters of one
NUMBERS = re.compile(r"\d+")


class Tally:
    """Counts what is made.

    Args:
        longest: tokens of the longest completion that may be.
    """

    def __init__(self, longest: int):
        self.longest = max(1, longest)
        self.width = max(1, -(-self.longest // BINS))
        self.lengths: dict[str, list[int]] = {}  # finish → completions in each bin
        self.finishes: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.means: dict[str, list[float]] = {}
        self.missing: Counter[str] = Counter()  # without a score, for whatever cause
        self.failed: Counter[str] = Counter()
        self.completions = self.tokens = self.kept = self.problems = self.kept_problems = 0

    def failure(self, completion: Completion) -> None:
        """Count a completion that could not be made."""
        self.finishes[completion.finish] += 1
        self.causes[NUMBERS.sub("…", completion.error[:CAUSE])] += 1

    def add(self, sampled: Sampled, kept: list[list[int]]) -> None:
        """Count the completions of some problems, and those that are kept of each."""
        for row in sampled.completions:
            for item in row:
                self.finishes[item.finish] += 1
                bins = self.lengths.setdefault(item.finish, [0] * BINS)
                bins[min(BINS - 1, max(0, item.tokens - 1) // self.width)] += 1
                self.completions += 1
                self.tokens += item.tokens
        for name, scores in sampled.scores.items():
            means = self.means.setdefault(name, [])
            means += [mean for row in scores if (mean := mean_of(row)) is not None]
            self.failed[name] += sampled.failures.get(name, 0)
            self.missing[name] += sum(score is None for row in scores for score in row)
        self.problems += len(sampled.completions)
        self.kept += sum(map(len, kept))
        self.kept_problems += sum(map(bool, kept))

    def metrics(self) -> dict[str, float]:
        """Each reward's mean over problems, with its interval where it is a share; lengths, skips, failures."""
        found: dict[str, float] = {}
        count = max(1, self.completions)
        for name, means in self.means.items():
            if means and all(0.0 <= value <= 1.0 for value in means):
                found |= estimate(means).record(f"generate/{name}")
            elif means:
                found[f"generate/{name}"] = sum(means) / len(means)
            found |= without_score("generate", name, self.missing[name], self.failed[name], count)
        found["generate/length"] = self.tokens / count
        found["generate/truncated"] = self.finishes["length"] / count
        return found

    def record(self) -> dict[str, Any]:
        """What the run's page draws, as JSON values."""
        return {
            "bin_width": self.width,
            "lengths": self.lengths,
            "finishes": dict(self.finishes),
            "causes": dict(self.causes.most_common(CAUSES)),
            "problems": self.problems,
            "completions": self.completions,
            "tokens": self.tokens,
            "kept": self.kept,
            "kept_problems": self.kept_problems,
        }
