"""Records by hand, in few words."""

from __future__ import annotations

from typing import Any

from r1lab.evaluation.records import Problem, Record, Sample

SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 32768, "samples": 2, "seed": 42}


def sample(score: float | None, answer: str | None = "5", **more: Any) -> Sample:
    """A completion that was judged."""
    values = {"text": f"so \\boxed{{{answer}}}", "finish": "stop", "tokens": 9, "prompt_tokens": 20, **more}
    return Sample(score=score, answer=answer, **values)


def problem(name: str, *samples: Sample, gold: str | None = "5", **more: Any) -> Problem:
    """A problem with its samples."""
    return Problem(name, f"Question {name}?", gold, samples, **more)


def record(*problems: Problem, asked: int | None = None, **more: Any) -> Record:
    """A record; `made_by` takes what is given over what is usual."""
    made_by = {"evaluator": "native", "sampling": SAMPLING, **more.pop("made_by", {})}
    count = asked or max(len(item.samples) for item in problems)
    return Record(more.pop("benchmark", "aime24"), count, problems, made_by, **more)
