"""What is kept of a problem, held against a hand-made table; prompts that take no memory; the shares of a dataset."""

from __future__ import annotations

import pytest

from r1lab.engines.base import Completion
from r1lab.generation.selection import Keep, kept

MADE = [  # tokens, finish, score
    (9, "stop", 1.0),
    (4, "stop", 0.0),
    (5, "length", 1.0),
    (7, "stop", 1.0),
    (7, "stop", None),
    (7, "stop", 1.0),
    (0, "error", 1.0),
]


@pytest.mark.parametrize(
    ("keep", "places"),
    [
        (Keep(), [0, 1, 3, 4, 5]),
        (Keep(truncated=True), [0, 1, 2, 3, 4, 5]),
        (Keep(most=2), [0, 1]),
        (Keep(order="shortest", most=1), [1]),
        (Keep("accuracy"), [0, 3, 5]),
        (Keep("accuracy", most=1), [0]),
        (Keep("accuracy", order="shortest", most=1), [3]),
        (Keep("accuracy", order="shortest", most=2), [3, 5]),
        (Keep("accuracy", order="shortest", most=1, truncated=True), [2]),
        (Keep("accuracy", least=0.0), [0, 1, 3, 5]),
        (Keep("accuracy", least=1.5), []),
    ],
)
def test_kept(keep: Keep, places: list[int]) -> None:
    completions = [
        Completion("", tokens, finish, error="no" if finish == "error" else "") for tokens, finish, _ in MADE
    ]
    assert kept(keep, completions, [score for *_, score in MADE] if keep.reward else []) == places
