"""`completions/*.jsonl` of a run's folder: what was said, a completion a line, as the run's page and others read it."""

from __future__ import annotations

from typing import Any


def completion_line(
    *,
    prompt: str,
    completion: str,
    rewards: dict[str, Any] | None,
    solution: Any = None,
    tokens: int | None = None,
    finish: str | None = None,
    problem: Any = None,
    sample: int | None = None,
    step: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """The line of one completion.

    Args:
        prompt: what was asked last.
        rewards: its scores, by the reward's name.
        finish: "stop" or "length".
        problem, sample: which problem's, and the how-manyth of it; left out where nobody counts.
        step: of the training that it was sampled after; 0 where nothing is trained.
        more: what else is known of it.
    """
    place = {name: number for name, number in (("problem", problem), ("sample", sample)) if number is not None}
    said = {"prompt": prompt, "completion": completion, "solution": solution, "rewards": rewards}
    return {"step": step, **place, **said, **more, "tokens": tokens, "finish": finish}
