"""Published figures beside ours: the difference in standard errors, and a verdict where the two are alike.

Both measured the same problems, so that only the sampling errs: with v the mean over problems of p(1 − p), the
variance of a mean of n samples on N problems is v / (n·N). v is estimated from our samples, unbiased, and is at
least 3 / (n·N), which is what no disagreement among all samples leaves open; from single samples only its upper bound
p̄(1 − p̄) is known, which is taken then.

A verdict needs the same evaluator and the same sampling: a figure made with other prompts is another measurement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from r1lab.evaluation.measures import mean, rights
from r1lab.evaluation.metrics import Z95
from r1lab.evaluation.records import Record

FILE = Path(__file__).with_name("published.yaml")
CLOSE = 0.03  # a difference of which the 95 % interval is wider than this on either side says too little to agree
ROUNDED = 0.001 / math.sqrt(12)  # standard error of a figure rounded to a tenth of a point
COPY = "on a copy of its data, which nobody has compared"
AGREES, DIFFERS, TOO_FEW, NONE = "agrees", "differs", "too few samples to say", "no verdict"


@dataclass(frozen=True)
class Figure:
    """One published figure.

    Attributes:
        table: the table's name.
        source, url: where it was published.
        value: as a share.
        samples: of each problem; None where it is not said.
        evaluator: whose prompts and scoring; None where it is not said.
        sampling: temperature, top_p and max_tokens; None where it is not said.
        problems: that the benchmark has.
    """

    table: str
    source: str
    url: str
    value: float
    samples: int | None
    evaluator: str | None
    sampling: Mapping[str, float] | None
    problems: int | None = None


@dataclass(frozen=True)
class Beside:
    """Ours beside a published figure.

    Attributes:
        figure: the published one.
        ours: our pass@1.
        difference: ours minus theirs, as a share.
        error: the standard error of that; None where theirs is not known.
        verdict: agrees, differs, too few samples to say, or no verdict.
        why: why there is no verdict, or what it rests on; "" for nothing.
    """

    figure: Figure
    ours: float
    difference: float
    error: float | None
    verdict: str
    why: str = ""

    def sentence(self) -> str:
        """The comparison, to be read."""
        figure = self.figure
        times = f"{figure.samples} samples" if figure.samples else "samples not said"
        said = f"{figure.table} {figure.value:.1%} ({times}): {self.difference * 100:+.1f} points"
        if self.error:
            said += f", {self.difference / self.error:+.1f} standard errors"
        return f"{said}: {self.verdict}" + (f" ({self.why})" if self.why else "")


@cache
def tables() -> list[dict[str, Any]]:
    """Every published table, as its file says."""
    return list(yaml.safe_load(FILE.read_text(encoding="utf-8"))["tables"])


@cache
def sizes() -> dict[str, int]:
    """How many problems each benchmark of the tables has."""
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8"))["problems"])


def figures_of(model: str | None, benchmark: str) -> Iterator[Figure]:
    """The published figures of a model, named as on the Hub, on a benchmark."""
    for table in tables():
        for name, row in table["figures"].items():
            if model and name.lower() == model.lower() and benchmark in row:
                yield Figure(
                    table["name"],
                    table["source"],
                    table["url"],
                    row[benchmark] / 100,
                    table["samples"].get(benchmark),
                    table["evaluator"],
                    table["sampling"],
                    sizes().get(benchmark),
                )


def beside(record: Record) -> list[Beside]:
    """Our pass@1 beside every published figure of the same model and benchmark."""
    model = record.made_by.get("model") or {}
    if model.get("path"):  # weights of one's own, whatever they began from
        return []
    found = list(figures_of(model.get("repo"), record.benchmark))
    shares = [share for problem in record.problems if (share := rights(problem))]
    if not found or not shares:
        return []
    ours = mean([mean(share) for share in shares])
    return [_beside(record, figure, ours, shares) for figure in found]


def _beside(record: Record, figure: Figure, ours: float, shares: list[list[bool]]) -> Beside:
    difference, error = ours - figure.value, None
    if figure.samples:
        within = spread(shares)
        ours_n = len(shares) / sum(1 / len(share) for share in shares)  # the harmonic mean, where they differ
        error = math.sqrt(within * (1 / ours_n + 1 / figure.samples) / len(shares) + ROUNDED**2)
    if why := unlike(record, figure):
        return Beside(figure, ours, difference, error, NONE, why)
    assert error is not None
    verdict = DIFFERS if abs(difference) > Z95 * error else AGREES if Z95 * error <= CLOSE else TOO_FEW
    return Beside(figure, ours, difference, error, verdict, COPY if record.made_by.get("own_data") else "")


def spread(shares: list[list[bool]]) -> float:
    """The mean over problems of p(1 − p), as the module says."""
    several = [share for share in shares if len(share) > 1]
    if several:
        found = mean([sum(share) * (len(share) - sum(share)) / (len(share) * (len(share) - 1)) for share in several])
        return max(found, 3 / sum(map(len, several)))
    centre = mean([mean(share) for share in shares])
    return max(centre * (1 - centre), 3 / len(shares))


def unlike(record: Record, figure: Figure) -> str:
    """Why a figure and ours are different measurements; "" where they are not."""
    evaluator = record.made_by.get("evaluator")
    if figure.evaluator is None:
        return "their prompt is not published"
    if evaluator != figure.evaluator:
        return f"their prompts are {figure.evaluator}'s, ours {evaluator}'s: evaluator={figure.evaluator} has the same"
    if own := [name for name in ("own_prompt", "own_template") if record.made_by.get(name)]:
        return f"the {own[0].removeprefix('own_')} was changed"
    model = record.made_by.get("model") or {}
    if model.get("rope"):
        return "the model's positions were changed (model.rope)"
    root = str(model.get("root") or "")
    if root and not root.startswith(("/", ".")) and root.lower() != str(model.get("repo")).lower():
        return f"the server says that it serves {root}"
    if figure.sampling is None or figure.samples is None:
        return "how they sampled is not published"
    sampling = record.made_by.get("sampling") or {}
    other = [
        f"{name} {sampling.get(name)} ≠ {value}"
        for name, value in figure.sampling.items()
        if sampling.get(name) != value
    ]
    if other:
        return f"the sampling differs: {', '.join(other)}"
    judged = sum(bool(rights(problem)) for problem in record.problems)
    return f"ours are {judged} of {figure.problems} problems" if judged != figure.problems else ""
