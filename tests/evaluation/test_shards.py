"""One sampling spread over processes: joined, it is in the problems' order, and every process makes as many calls."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset

from r1lab.engines.base import Completion, Sampling
from r1lab.evaluation.sampling import Sampled
from r1lab.evaluation.shards import Shard, joined


class Echo:
    """Says each prompt back, and keeps how many it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def generate(self, prompts: Any, sampling: Sampling, *_: Any) -> list[list[Completion]]:
        self.asked.append(len(prompts))
        return [[Completion(prompt[0]["content"], 1, "stop", (1,))] for prompt in prompts]


@pytest.mark.parametrize(("count", "parts"), [(8, 2), (7, 2), (7, 3), (1, 4), (5, 1)])
def test_shares_make_the_whole(count: int, parts: int) -> None:
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": f"{i}"}]} for i in range(count)])
    engines = [Echo() for _ in range(parts)]
    samples = []
    for part in range(parts):
        mine = rows.select(range(part, count, parts))
        completions = Shard(engines[part], rows, parts).generate(mine["prompt"], Sampling())
        scores: list[list[float | None]] = [[float(row[0].text)] for row in completions]
        samples.append(Sampled(mine, completions, {"mark": scores}, {"mark": part}).without_rows())
    whole = joined(rows, samples)
    assert [row[0].text for row in whole.completions] == [f"{i}" for i in range(count)]
    assert whole.scores["mark"] == [[float(i)] for i in range(count)]
    assert whole.failures == {"mark": sum(range(parts))} and len(whole.rows) == count
    assert len({tuple(engine.asked) for engine in engines}) == 1  # else sharded weights would wait for ever
