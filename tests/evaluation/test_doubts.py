"""Every doubt is raised where there is reason, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from r1lab.evaluation.doubts import doubts
from r1lab.evaluation.records import Record
from tests.evaluation.building import SAMPLING, problem, record, sample

LONG = "because " * 40


def clean() -> list[Any]:
    return [
        problem(
            str(i), sample(1.0, text=f"{i} a {LONG}", seed=2 * i), sample(0.0, text=f"{i} b {LONG}", seed=2 * i + 1)
        )
        for i in range(3)
    ]


def names(found: Record) -> dict[str, float]:
    return {doubt.name: doubt.share for doubt in doubts(found)}


def test_a_clean_record_raises_none() -> None:
    assert names(record(*clean(), context=40000)) == {}


@pytest.mark.parametrize(
    "last, raised",
    [
        (problem("x", sample(0.0, None, finish="length"), sample(1.0)), {"truncated": 1 / 8, "no_answer_cut": 1 / 8}),
        (problem("x", sample(1.0, finish="length"), sample(1.0)), {"truncated": 1 / 8}),
        (problem("x", sample(0.0, None), sample(1.0)), {"no_answer": 1 / 8}),
        (problem("x", sample(None, reason="no gold"), sample(1.0)), {"not_judged": 1 / 8}),
        (problem("x", sample(None, reason="no gold")), {"not_judged": 1 / 7, "skipped": 1 / 4, "fewer_samples": 1 / 4}),
        (problem("x", sample(None, None, text="", finish="overflow"), sample(1.0)), {"overflow": 1 / 8}),
        (problem("x", sample(1.0, prompt_tokens=9000), sample(1.0)), {"beyond_context": 1 / 8}),
        (problem("x", sample(1.0, seed=4), sample(1.0, seed=4)), {"same_seed": 1 / 4}),
        (problem("x", sample(1.0, text=LONG), sample(1.0, text=LONG)), {"copies": 1 / 8}),
    ],
)
def test_one_problem_raises_its_doubt_alone(last: Any, raised: dict[str, float]) -> None:
    assert names(record(*clean(), last, context=40000)) == pytest.approx(raised)


def test_problems_that_were_never_asked_are_told() -> None:
    (found,) = doubts(record(*clean(), missing=(("p9", "it has no gold answer"),)))
    assert found.name == "skipped" and found.share == 0.25
    assert found.text == "1 of 4 problems are not in the number (p9: it has no gold answer)"


def test_a_model_that_never_ends_is_told() -> None:
    endless = [
        problem(
            str(i),
            sample(0.0, None, text=f"{i}{j}{LONG}", finish="length"),
            sample(0.0, None, text=f"{i}x{LONG}", finish="length"),
        )
        for i, j in ((1, 1), (2, 2))
    ]
    assert names(record(*endless)) == {"truncated": 1.0, "no_answer_cut": 1.0, "no_end": 1.0}


def test_short_answers_may_come_twice_but_not_in_every_problem() -> None:
    twins = [
        problem(str(i), sample(1.0, text=f"the answer is {i}"), sample(1.0, text=f"the answer is {i}"))
        for i in range(3)
    ]
    other = problem("y", sample(1.0, text="the answer is 3"), sample(1.0, text="the answer is four"))
    assert names(record(*twins, other)) == {}
    assert names(record(*twins)) == {"copies": 0.5}
    greedy = record(*twins, made_by={"sampling": {**SAMPLING, "temperature": 0}})
    assert "temperature 0" in doubts(greedy)[0].text
