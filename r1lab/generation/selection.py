"""Rejection sampling: which completions of a problem are kept for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1lab.engines.base import Completion

ORDERS = ("first", "shortest")


@dataclass(frozen=True)
class Keep:
    """What is kept of a problem.

    Attributes:
        reward: that must reach `least`; None keeps any completion.
        least: the score that it must reach.
        most: of a problem; None: all.
        order: those that are taken where there are more: the "first", or the "shortest" in tokens.
        truncated: also those that were cut at the length limit.
    """

    reward: str | None = None
    least: float = 1.0
    most: int | None = None
    order: str = "first"
    truncated: bool = False


def kept(keep: Keep, completions: Sequence[Completion], scores: Sequence[float | None]) -> list[int]:
    """The places of the completions of one problem that are kept, in their own order.

    Args:
        keep: what is kept.
        completions: of the problem; those with an `error` never are.
        scores: of `keep.reward`, None where it skipped; not read without one.
    """
    places = [
        i
        for i, item in enumerate(completions)
        if not item.error
        and (keep.truncated or item.finish == "stop")
        and (keep.reward is None or ((score := scores[i]) is not None and score >= keep.least))
    ]
    if keep.order == "shortest":
        places.sort(key=lambda i: (completions[i].tokens, i))
    return sorted(places[: keep.most])
