"""One sampling spread over several processes: process r of n takes problems r, r + n, r + 2n, …"""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset

from r1lab.engines.base import Completion, Conversation, Engine, OnCompletion, OnProgress, Sampling
from r1lab.evaluation.sampling import Sampled


class Shard:
    """An engine that makes as many calls in every process, whatever its share: sharded weights are gathered together.

    Args:
        engine: makes the completions.
        rows: all problems, those of the other processes included.
        parts: how many processes share them.
    """

    def __init__(self, engine: Engine, rows: Dataset, parts: int):
        self.engine = engine
        self.filler = list(rows["prompt"][:1]) if len(rows) else []
        self.size = -(-len(rows) // parts)

    def generate(
        self,
        prompts: Sequence[Conversation],
        sampling: Sampling,
        on_progress: OnProgress | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`; a share that is one short is filled up, and what that gives is dropped."""
        missing = self.size - len(prompts)
        filled = [*prompts, *self.filler * missing] if missing > 0 else prompts
        return self.engine.generate(filled, sampling, on_progress, on_completion)[: len(prompts)]


def joined(rows: Dataset, parts: Sequence[Sampled]) -> Sampled:
    """The sampling of all problems from the shares of the processes, in the problems' order."""
    if len(parts) == 1:
        return Sampled(rows, parts[0].completions, parts[0].scores, parts[0].failures)
    count = len(parts)
    order = [(i % count, i // count) for i in range(len(rows))]
    names = parts[0].scores.keys()
    return Sampled(
        rows,
        [parts[part].completions[place] for part, place in order],
        {name: [parts[part].scores[name][place] for part, place in order] for name in names},
        {name: sum(part.failures.get(name, 0) for part in parts) for name in names},
    )
