"""Sampled completions, early beside late: the same problem where one was sampled twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from r1lab.report.records import Completion

T = TypeVar("T")
_ALMOST = 0.999  # a reward this high is full marks


@dataclass(frozen=True)
class Sample:
    """A completion with its verdict: "right", "partly", "wrong" or "unjudged" (None: not verifiable, or no such
    reward)."""

    completion: Completion
    verdict: str


@dataclass(frozen=True)
class Pair:
    """Early and late; `late` is None when the run sampled at one step only. `same` says whether the problem is the
    same."""

    early: Sample
    late: Sample | None
    same: bool

    @property
    def story(self) -> str:
        """What changed: "learnt", "lost", "right", "wrong", or "other" when either side was not judged in full."""
        sides = (self.early.verdict, self.late.verdict if self.late else self.early.verdict)
        if not self.same:
            return "other"
        return {
            ("wrong", "right"): "learnt",
            ("right", "wrong"): "lost",
            ("right", "right"): "right",
            ("wrong", "wrong"): "wrong",
        }.get(sides, "other")


def pairs(completions: list[Completion], most: int = 6) -> list[Pair]:
    """Up to `most` pairs, taken at even distances along the file and not by their result, so that they are a fair
    sample."""
    by_prompt: dict[int, list[Completion]] = {}
    for completion in completions:
        by_prompt.setdefault(completion.prompt_id, []).append(completion)
    matched, single = [], []
    for group in by_prompt.values():
        early, late = min(group, key=lambda c: c.step), max(group, key=lambda c: c.step)
        if late.step > early.step:
            matched.append(Pair(judged(early), judged(late), same=True))
        else:
            single.append(early)
    chosen = _evenly(matched, most)
    single.sort(key=lambda c: c.step)
    missing = most - len(chosen)
    if not single or missing <= 0:
        return chosen
    if single[0].step == single[-1].step:
        return chosen + [Pair(judged(c), None, same=True) for c in _evenly(single, missing)]
    count = min(missing, len(single) // 2)
    late_ones = single[len(single) - count :]
    return chosen + [Pair(judged(a), judged(b), same=False) for a, b in zip(single, late_ones, strict=False)]


def judged(completion: Completion) -> Sample:
    """The verdict by the reward called accuracy, else by the first reward that has a value."""
    rewards = completion.rewards
    value = rewards["accuracy"] if "accuracy" in rewards else next((v for v in rewards.values() if v is not None), None)
    if value is None or value != value:
        return Sample(completion, "unjudged")
    if value >= _ALMOST:
        return Sample(completion, "right")
    return Sample(completion, "partly" if value > 0 else "wrong")


def _evenly(items: list[T], most: int) -> list[T]:
    return items if len(items) <= most else [items[i * len(items) // most] for i in range(most)]
