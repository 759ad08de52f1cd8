"""Scores on disk: judged once where all went well, again where the machinery failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from r1lab.engines.base import Completion
from r1lab.evaluation.judging import judged
from r1lab.evaluation.questions import Question
from r1lab.generation.scoring import scored
from r1lab.rewards.base import Failure, Reward

ROWS = Dataset.from_list([{"prompt": [{"role": "user", "content": text}], "solution": text} for text in ("1", "2")])
TEXTS = [["1", "x"], ["2"]]


class Flaky:
    """Judges by equality; its machinery fails the first `failing` times that it sees "x"."""

    def __init__(self, failing: int):
        self.failing, self.seen = failing, 0

    def __call__(self, completions: list[str], solution: list[str]) -> list[Any]:
        self.seen += len(completions)
        marks: list[Any] = [float(text == gold) for text, gold in zip(completions, solution, strict=True)]
        if "x" in completions and self.failing:
            self.failing -= 1
            marks[completions.index("x")] = Failure("the sandbox is gone")
        return marks


def by_filtering(folder: Path, judge: Flaky, settings: Any = None) -> list[Any]:
    """What filtering and generating keep: the scores, and how many failed."""
    completions = [[Completion(text, 1, "stop") for text in row] for row in TEXTS]
    found = scored(folder, ROWS, completions, [Reward("equal", judge)], settings)
    return [score for row in found.scores["equal"] for score in row] + [found.failures["equal"]]


def by_evaluating(folder: Path, judge: Flaky, settings: Any = None) -> list[Any]:
    """What an evaluation keeps."""
    asked = [Question(row["solution"], row["prompt"], row["solution"], row) for row in ROWS]
    marks = [mark for row in judged(folder, Reward("equal", judge), settings, asked, TEXTS) for mark in row]
    return [score for score, _ in marks] + [sum("failed" in why for _, why in marks)]


@pytest.mark.parametrize("of", [by_filtering, by_evaluating])
def test_what_failed_is_judged_again_and_then_kept(of: Any, tmp_path: Path) -> None:
    judge = Flaky(failing=1)
    assert of(tmp_path, judge) == [1.0, None, 1.0, 1]
    assert of(tmp_path, judge) == [1.0, 0.0, 1.0, 0] and judge.seen == 6
    assert of(tmp_path, judge) == [1.0, 0.0, 1.0, 0] and judge.seen == 6
    assert of(tmp_path, judge, "other settings") == [1.0, 0.0, 1.0, 0] and judge.seen == 9
