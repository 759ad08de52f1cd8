"""Two rewards' scores of the same completions side by side: how often they agree, and where they do not.

A completion passes by a reward from a least score on. Correlation is Pearson's, over the completions that both scored;
without a spread there is none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from r1lab.rewards.base import Score

MOST_VALUES = (
    5  # up to which every score is a class of its own; beyond, there are those that pass and those that do not
)
SKIPPED = "not scored"


@dataclass(frozen=True)
class Disagreement:
    """What two rewards say of N completions.

    Attributes:
        names: of the two.
        rows, columns: the classes of the first and of the second one's scores.
        counts: (rows, columns) completions in each cell.
        means: over what each scored; None where it scored nothing.
        both: completions that both scored.
        passed: of those, how many pass by (both, the first alone, the second alone, neither).
        correlation: None where one of them does not vary.
    """

    names: tuple[str, str]
    rows: list[str]
    columns: list[str]
    counts: list[list[int]]
    means: tuple[float | None, float | None]
    both: int
    passed: tuple[int, int, int, int]
    correlation: float | None

    @property
    def differ(self) -> int:
        """Completions that pass by one of them alone."""
        return self.passed[1] + self.passed[2]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "names": list(self.names),
            "rows": self.rows,
            "columns": self.columns,
            "counts": self.counts,
            "means": list(self.means),
            "both": self.both,
            "passed": list(self.passed),
            "differ": self.differ,
            "correlation": self.correlation,
        }


def compare(
    names: tuple[str, str], first: Sequence[Score], second: Sequence[Score], least: tuple[float, float]
) -> Disagreement:
    """Compare two rewards' scores of the same completions.

    Args:
        names: what they are called.
        first, second: (N,) scores; None where a reward skipped or failed.
        least: from which score on a completion passes, for each.
    """
    rows, of_first = classes(first, least[0])
    columns, of_second = classes(second, least[1])
    cells = Counter(zip(of_first, of_second, strict=True))
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    passes = Counter((a >= least[0], b >= least[1]) for a, b in pairs)
    return Disagreement(
        names,
        rows,
        columns,
        [[cells[row, column] for column in columns] for row in rows],
        (mean(first), mean(second)),
        len(pairs),
        (passes[True, True], passes[True, False], passes[False, True], passes[False, False]),
        correlation(pairs),
    )


def classes(scores: Sequence[Score], least: float) -> tuple[list[str], list[str]]:
    """The classes of a reward's scores, highest first, and each score's class."""
    values = sorted({score for score in scores if score is not None}, reverse=True)
    if len(values) <= MOST_VALUES:
        names = {value: f"{value:g}" for value in values}
    else:
        names = {value: f"≥ {least:g}" if value >= least else f"< {least:g}" for value in values}
    found = [SKIPPED if score is None else names[score] for score in scores]
    listed = list(dict.fromkeys(names.values()))
    return listed + ([SKIPPED] if SKIPPED in found else []), found


def mean(scores: Sequence[Score]) -> float | None:
    """The mean of the scores that are there."""
    there = [score for score in scores if score is not None]
    return math.fsum(there) / len(there) if there else None


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation; None for fewer than two pairs, or where one side does not vary."""
    if len(pairs) < 2:
        return None
    means = [math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True)]
    away = [(a - means[0], b - means[1]) for a, b in pairs]
    spread = math.sqrt(math.fsum(a * a for a, _ in away)) * math.sqrt(math.fsum(b * b for _, b in away))
    return math.fsum(a * b for a, b in away) / spread if spread > 0 else None


def worst(first: Sequence[Score], second: Sequence[Score], least: tuple[float, float]) -> list[int]:
    """The places of completions that pass by one alone, those furthest apart first, and then in their order."""
    apart = {
        i: abs(a - b)
        for i, (a, b) in enumerate(zip(first, second, strict=True))
        if a is not None and b is not None and (a >= least[0]) != (b >= least[1])
    }
    return sorted(apart, key=lambda i: (-apart[i], i))
