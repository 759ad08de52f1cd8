"""IOI's way to count: a budget of submissions per problem, every subtask by its best one."""

from __future__ import annotations

from typing import Any

from r1lab.engines.base import Completion, Sampling
from r1lab.evaluation.measures import points_of
from r1lab.evaluation.questions import Question
from r1lab.evaluators.contest import contest_record, in_rounds
from r1lab.evaluators.native import submissions
from r1lab.rewards.base import Failure, Reward

SUBTASKS = [("01-small", 20.0), ("02-middle", 30.0), ("03-all", 50.0)]


def asked(problem: str = "sums") -> list[Question]:
    return [
        Question(problem, [{"role": "user", "content": f"{problem} {part}"}], None, {"part": part}, part, points)
        for part, points in SUBTASKS
    ]


def solves(completions: list[str], part: list[str]) -> list[Any]:
    """A program says which subtasks it solves, and how far: "01=1 02=0.5"."""
    marks: list[Any] = []
    for text, name in zip(completions, part, strict=True):
        said = dict(word.split("=") for word in text.split() if "=" in word)
        marks.append(Failure("the compiler is gone") if "broken" in text else float(said.get(name[:2], 0.0)))
    return marks


def test_the_budget_is_shared_evenly_and_the_last_subtasks_get_the_rest() -> None:
    assert submissions(asked(), 50) == [16, 17, 17]
    assert submissions([*asked(), *asked("other")], 4) == [1, 1, 2, 1, 1, 2]
    assert submissions(asked(), 2) == [0, 1, 1]


def test_rounds_begin_with_the_last_subtask() -> None:
    assert in_rounds([(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]) == [(2, 0), (1, 0), (0, 0), (2, 1), (0, 1)]


def test_a_submission_counts_for_every_subtask(tmp_path: Any) -> None:
    made = [
        [Completion("01=1", 3, "stop")],
        [Completion("02=0.5", 3, "stop"), Completion("", 0, "overflow", error="too long")],
        [Completion("01=0.2 02=0.4 03=0", 3, "stop"), Completion("broken", 3, "stop")],
    ]
    reward = Reward("ioi24", solves, max_failures=1.0)
    (found,) = contest_record(tmp_path, reward, {}, asked(), made, Sampling(n=5))
    assert found.points == dict(SUBTASKS)
    assert points_of(found) == (20 * 1 + 30 * 0.5 + 0) / 100
    first = found.samples[0]
    assert first.text.startswith("01=0.2") and first.parts == {"01-small": 0.2, "02-middle": 0.4, "03-all": 0.0}
    assert first.score == (20 * 0.2 + 30 * 0.4) / 100
    reasons = {sample.text: sample.reason for sample in found.samples if sample.score is None}
    assert reasons == {"": "too long", "broken": "the scorer failed: the compiler is gone"}
