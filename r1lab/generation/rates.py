"""Completions of every problem until its place in a band of pass rates is clear, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from r1lab.engines.base import Completion, Conversation, OnProgress, Sampling
from r1lab.engines.store import Store
from r1lab.engines.stored import Failures, completions_of, fill, keys_of
from r1lab.errors import DataError, Finding
from r1lab.evaluation.pass_rates import Stopping
from r1lab.generation.engines import Ready
from r1lab.generation.own import OnMade

Judge = Callable[[Sequence[int], list[list[Completion]]], list[list[float | None]]]
AT_ONCE = 64  # problems that are scored together
MOST_LOOKS = 16  # a look waits for the slowest completion of its round


@dataclass
class Measured:
    """What was sampled.

    Attributes:
        keys: of each prompt's completions in the store.
        seen: how many completions of each prompt were asked for.
        decisions: whether a prompt is inside, where that was clear before all n were there; else None.
        failures: what could not be made, by key and index.
    """

    keys: list[str]
    seen: list[int]
    decisions: list[bool | None]
    failures: Failures = field(default_factory=dict)


def looks_of(n: int) -> list[int]:
    """After how many of n samples one looks: at most `MOST_LOOKS` times, evenly."""
    step = -(-n // MOST_LOOKS)
    return [*range(step, n, step), n]


def measure(
    made: Ready,
    store: Store,
    prompts: Sequence[Conversation],
    sampling: Sampling,
    stopping: Stopping | None,
    judge: Judge,
    on_progress: OnProgress,
    on_made: OnMade,
) -> Measured:
    """Sample `sampling.n` completions of each prompt, or fewer where `stopping` finds its place clear.

    Args:
        judge: the deciding reward's scores of some problems' completions.

    Raises:
        EngineError, StorageError: see `stored.fill`; what was made is kept.
        DataError: a score is neither 0 nor 1, and sampling is to stop early.
    """
    found = Measured(keys_of(prompts, sampling, made.identity), [0] * len(prompts), [None] * len(prompts))
    right, clean = [0] * len(prompts), [True] * len(prompts)  # clean: every sample so far has a score
    still, before, closed = list(range(len(prompts))), 0, 0
    for look in stopping.looks if stopping else [sampling.n]:
        asked = [prompts[i] for i in still]

        def progress(done: int, total: int, closed: int = closed) -> None:
            on_progress(closed + done, closed + total)

        found.failures |= fill(made.engine, store, asked, replace(sampling, n=look), made.identity, progress, on_made)
        for i in still:
            found.seen[i] = look
        if stopping is None:
            break
        with store.lookup() as lookup:
            for begin in range(0, len(still), AT_ONCE):
                places = still[begin : begin + AT_ONCE]
                every = [completions_of(lookup, found.keys[i], look, found.failures)[before:] for i in places]
                scores = judge(places, [[item for item in row if not item.error] for row in every])
                for i, marks in zip(places, scores, strict=True):
                    whole = [mark for mark in marks if mark is not None]
                    _refuse_shares(whole, i)
                    clean[i] = clean[i] and len(whole) == look - before
                    right[i] += sum(mark == 1.0 for mark in whole)
                    found.decisions[i] = stopping.decide(right[i], look) if clean[i] and look < sampling.n else None
        closed += look * sum(found.decisions[i] is not None for i in still)
        still, before = [i for i in still if found.decisions[i] is None], look
        if not still:
            break
    return found


def _refuse_shares(marks: Sequence[float], place: int) -> None:
    if odd := next((mark for mark in marks if mark not in (0.0, 1.0)), None):
        what = f"task.confidence counts samples that are right or wrong, and the reward of row {place} is {odd:g}"
        fix = "task.confidence=null, or a reward of 0 or 1 such as accuracy and binary_code; what was made is kept"
        raise DataError(Finding(what, fix=fix).text())
