"""What an evaluator leaves of a benchmark: one record per problem with one per sample, whoever made and judged them.

Metrics, audits, comparisons and pages are worked out from these records alone: every evaluator is measured alike.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FULL_MARKS = 1.0
ENDS = ("stop", "length", "overflow", "refusal", "")  # "" where the evaluator cannot say


@dataclass(frozen=True)
class Sample:
    """One completion of a problem.

    Attributes:
        text: the completion.
        score: from 0 to 1; None where the scorer could not judge it, or gave what is no finite number. A completion
            without an answer is judged: 0.
        answer: the final answer as it was read; None where none was found. For programs: the program.
        finish: "stop", "length" (cut at the most tokens), "overflow" (the prompt leaves no room), "refusal", or "".
        tokens: of the completion, with its end; None where nobody counted.
        prompt_tokens: of the prompt; likewise.
        seed: that the engine was given for this sample; None where it is not known.
        reason: why there is no score; "" where there is one.
        parts: of a contest: subtask → score from 0 to 1.
    """

    text: str
    score: float | None
    answer: str | None = None
    finish: str = ""
    tokens: int | None = None
    prompt_tokens: int | None = None
    seed: int | None = None
    reason: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):  # no verdict, neither right nor wrong
            object.__setattr__(self, "reason", self.reason or f"its score is {self.score}")
            object.__setattr__(self, "score", None)

    @property
    def right(self) -> bool | None:
        """Whether it has full marks; None where it was not judged."""
        return None if self.score is None else self.score >= FULL_MARKS


@dataclass(frozen=True)
class Problem:
    """One problem with its samples, in the order in which they were drawn.

    Attributes:
        id: what names it in its benchmark, whoever evaluates; two results are paired by it.
        prompt: the text of the last turn, as the model was asked.
        gold: the gold answer; None where there is none as text.
        samples: of the n asked for, those that are there.
        points: of a contest: subtask → points.
    """

    id: str
    prompt: str
    gold: str | None
    samples: tuple[Sample, ...]
    points: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """Everything an evaluator leaves of one benchmark.

    Attributes:
        benchmark: its name.
        asked: samples per problem that were asked for.
        problems: with at least one sample asked of each.
        made_by: what bears on the numbers, as JSON values: `evaluator`, `versions`, `model`, `prompt` (a digest of the
            prompts, see `fingerprint.digest`), `template` (a digest of the chat template, or null), `sampling`
            (temperature, top_p, top_k, min_p, max_tokens, samples, seed), `data` (a digest of ids and golds), `scorer`;
            `own_prompt` and `own_template` are true where the benchmark's or the model's were changed.
        context: tokens of a prompt with its completion that the model takes; None where nobody says.
        missing: problems of the benchmark that were not asked at all, with the reason.
    """

    benchmark: str
    asked: int
    problems: tuple[Problem, ...]
    made_by: Mapping[str, Any]
    context: int | None = None
    missing: tuple[tuple[str, str], ...] = ()


def lines(record: Record) -> Iterator[str]:
    """A record as JSON lines: first what holds for all, then one line per problem."""
    head = {"benchmark": record.benchmark, "asked": record.asked, "made_by": dict(record.made_by)}
    yield json.dumps({**head, "context": record.context, "missing": [list(item) for item in record.missing]})
    for problem in record.problems:
        samples = [vars(sample) for sample in problem.samples]  # `asdict` copies every value deeply, ten times slower
        yield json.dumps({**vars(problem), "samples": samples}, ensure_ascii=False)


def read(text: Iterable[str]) -> Record:
    """The record that `lines` wrote."""
    rest = iter(text)
    head = json.loads(next(rest))
    missing = tuple((str(name), str(why)) for name, why in head.pop("missing"))
    problems = []
    for line in rest:
        item = json.loads(line)
        problems.append(Problem(**{**item, "samples": tuple(Sample(**sample) for sample in item["samples"])}))
    return Record(**head, problems=tuple(problems), missing=missing)
