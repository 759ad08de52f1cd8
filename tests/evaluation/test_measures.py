"""The numbers of a record, against counting by hand and by brute force."""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from r1lab.errors import DataError
from r1lab.evaluation.measures import ballot, measures, points_of, total_points
from r1lab.evaluation.records import lines, read
from r1lab.evaluation.result import result_of, sentences, share
from tests.evaluation.building import problem, record, sample

RIGHT, WRONG = sample(1.0), sample(0.0, "7")
OTHER = sample(0.0, "8")


def test_three_problems_by_hand() -> None:
    found = measures(
        record(problem("a", *[RIGHT] * 4), problem("b", RIGHT, WRONG, RIGHT, WRONG), problem("c", *[WRONG] * 4)),
        [1, 2, 4],
    )
    assert found["pass@1"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["pass@2"].value == pytest.approx((1 + 5 / 6 + 0) / 3)  # of b's six pairs one has no right one
    assert found["pass@4"].value == pytest.approx(2 / 3)
    assert found["maj@4"].value == pytest.approx((1 + 0.5 + 0) / 3)  # b: two against two
    assert found["avg@4"].value == found["pass@1"].value
    assert all(value.problems == 3 and value.low < value.value < value.high for value in found.values())


def test_pass_and_majority_are_means_over_all_subsets() -> None:
    drawn = (RIGHT, WRONG, OTHER, RIGHT, WRONG, sample(0.0, None))
    found = measures(record(problem("a", *drawn)), [3])
    trios = list(combinations(drawn, 3))
    assert found["pass@3"].value == pytest.approx(sum(any(s.right for s in trio) for trio in trios) / len(trios))
    votes = 0.0
    for trio in trios:
        said = ["5" if s.right else s.answer for s in trio if s.answer is not None]
        leaders = [answer for answer in set(said) if said.count(answer) == max(map(said.count, said))]
        votes += ("5" in leaders) / len(leaders)
    assert found["maj@3"].value == pytest.approx(votes / len(trios))


def test_fewer_samples_than_asked_do_not_lower_the_number() -> None:
    """pass@1 is over the samples that are there: asking for twice as many must not halve it."""
    found = measures(record(problem("a", RIGHT, RIGHT), problem("b", WRONG, RIGHT), asked=4), [1, 4])
    assert found["pass@1"].value == pytest.approx(0.75)
    assert "pass@4" not in found


def test_what_was_not_judged_is_neither_right_nor_wrong() -> None:
    unknown = sample(None, reason="the scorer failed")
    found = measures(record(problem("a", RIGHT, unknown), problem("b", unknown, unknown), problem("c", WRONG, WRONG)))
    assert found["pass@1"].value == 0.5 and found["pass@1"].problems == 2
    with pytest.raises(DataError, match="the scorer failed"):
        measures(record(problem("a", unknown)))


def test_partial_scores_count_in_the_average_and_are_not_right() -> None:
    found = measures(record(problem("a", sample(0.5), sample(1.0), gold=None)), [2])
    assert (found["pass@1"].value, found["avg@2"].value, found["pass@2"].value) == (0.5, 0.75, 1.0)
    assert "maj@2" not in found  # programs do not vote


@pytest.mark.parametrize("one, other, gold", [("  x + 1", "x+1", "3"), ("B", "(b)", "A"), ("B) argon", "B", "A")])
def test_spellings_of_one_wrong_answer_vote_together(one: str, other: str, gold: str) -> None:
    assert ballot(one, gold) == ballot(other, gold)


def test_a_contest_counts_the_best_submission_of_every_subtask() -> None:
    points = {"1": 10.0, "2": 30.0, "3": 60.0}
    first = sample(0.1, parts={"1": 1.0, "2": 0.0, "3": 0.0})
    second = sample(0.15, parts={"1": 0.0, "2": 0.5, "3": 0.0})
    solved = sample(1.0, parts={"1": 1.0, "2": 1.0, "3": 1.0})
    contest = record(
        problem("a", first, second, gold=None, points=points),
        problem("b", solved, gold=None, points=points),
        benchmark="ioi24",
    )
    assert points_of(contest.problems[0]) == pytest.approx(0.25)
    assert total_points(contest) == (125.0, 200.0)
    found = measures(contest, [2])
    assert set(found) == {"points"} and found["points"].value == pytest.approx(0.625)


def test_a_record_is_read_as_it_was_written() -> None:
    points = {"1": 10.0}
    made = record(
        problem("a", sample(None, None, reason="x", seed=3, parts={"1": 0.5}), gold=None, points=points),
        missing=(("b", "its text is empty"),),
        context=4096,
    )
    assert read(list(lines(made))) == made
    assert read(lines(record(problem("ü \ud800", RIGHT)))).problems[0].id == "ü \ud800"


def test_scores_that_are_no_shares_have_no_average() -> None:
    found = measures(record(problem("a", sample(-0.5), sample(1.1)), problem("b", sample(-0.5), sample(-0.5))))
    assert set(found) == {"pass@1"} and found["pass@1"].value == 0.25


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_no_verdict(value: float) -> None:
    """Neither right nor wrong, and told; also where it was written by hand."""
    made = record(problem("a", sample(value), RIGHT), problem("b", RIGHT, WRONG))
    assert measures(made)["pass@1"].value == 0.75
    assert made.problems[0].samples[0].reason == f"its score is {value}"
    assert "1 of 4 completions were not judged, most often: its score is" in " ".join(sentences(result_of(made)))
    head, *rest = lines(record(problem("a", RIGHT)))
    again = read([head, *(line.replace('"score": 1.0', f'"score": {json.dumps(value)}') for line in rest)])
    assert again.problems[0].samples[0].score is None


def test_a_score_below_nothing_is_no_share_though_its_mean_is_one() -> None:
    found = measures(record(problem("a", sample(-0.5), RIGHT), problem("b", RIGHT, WRONG)))
    assert found["pass@1"].value == 0.5 and not [name for name in found if name.startswith("avg@")]


def test_an_empty_answer_does_not_vote() -> None:
    assert [ballot(text, "5") for text in ("", "  ", "$ $", "7")] == [None, None, None, "7"]
    found = measures(record(problem("a", RIGHT, sample(0.0, ""), sample(0.0, " "))), [3])
    assert found["maj@3"].value == 1.0  # the one that answered


def test_a_number_over_fewer_problems_says_so_and_one_over_none_is_named() -> None:
    none = sample(None, reason="no verdict")
    made = record(problem("a", RIGHT, RIGHT), problem("b", WRONG, none))
    head, *rest = sentences(result_of(made, [1, 2, 4]))
    assert head.startswith("aime24, 2 problems × 2: pass@1 50.0% (9.5% to 90.5%), pass@2 100.0% (20.7% to 100.0%, 1 p")
    assert "  mind: no pass@4: no problem has 4 samples that were judged" in rest
    assert sentences(result_of(record(problem("a", RIGHT))))[0].startswith("aime24, 1 problem × 1: pass@1 100.0% (20.")


def test_only_all_of_it_is_a_hundred_percent() -> None:
    assert [share(x) for x in (0.0, 0.0004, 0.0006, 0.9994, 0.9996, 1.0)] == [
        "0.0%",
        "<0.1%",
        "0.1%",
        "99.9%",
        ">99.9%",
        "100.0%",
    ]


def test_what_was_never_sampled_is_neither_short_nor_whole() -> None:
    """The share that was cut is of the completions that are there, and so is their length."""
    beyond = sample(None, None, text="", finish="overflow", tokens=0, reason="no room")
    result = result_of(
        record(problem("a", sample(1.0, finish="length", tokens=8), beyond), problem("b", beyond, beyond))
    )
    assert (result["truncated"], result["length"]) == (1.0, 8.0)
    assert {doubt["name"]: doubt["share"] for doubt in result["doubts"]}["truncated"] == 1.0
