"""Every reward on 10,000 malformed completions: a finite number or none for each, and how long that took.

python -m tests.drill.malformed            # writes benchmarks/results/malformed.json
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

from benchmarks.measure import keep
from r1lab.rewards.base import Failure, Mark
from tests.rewards.malformed import drawn, judge, rewards

BATCH = 100


def kind_of(mark: Mark) -> str:
    """What became of a completion; the data of every ninth asks for a language that there is nowhere."""
    return "skipped" if mark is None else "no such language" if isinstance(mark, Failure) else "scored"


def main() -> None:
    """Draw once, judge with every reward, keep counts and seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--completions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    texts = drawn(asked.completions, asked.seed)
    results: dict[str, Any] = {}
    for reward in rewards():
        counts: Counter[str] = Counter()
        began = time.perf_counter()
        for start in range(0, len(texts), BATCH):
            marks = judge(reward, texts[start : start + BATCH])
            counts.update(kind_of(mark) for mark in marks)
        results[reward.__name__] = {**counts, "seconds": round(time.perf_counter() - began, 2)}
        print(reward.__name__, results[reward.__name__], flush=True)
        assert counts.total() == asked.completions
    keep("malformed", {"completions": len(texts), "different": len(set(texts)), "results": results})


if __name__ == "__main__":
    main()
