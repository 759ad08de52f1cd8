"""pass@k and maj@k against counting, intervals against hand-computed values and against their promise."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.evaluation.metrics import Estimate, estimate, majority, majority_at_k, pass_at_k, wilson


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(n: int) -> None:
    for correct in range(n + 1):
        right = [True] * correct + [False] * (n - correct)
        for k in range(1, n + 1):
            subsets = list(combinations(right, k))
            assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


def test_pass_at_1_is_the_mean_whatever_n() -> None:
    assert pass_at_k(64, 16, 1) == pytest.approx(0.25)
    assert pass_at_k(4, 1, 1) == pytest.approx(0.25)


def test_fewer_samples_than_k_are_refused() -> None:
    with pytest.raises(ValueError, match="pass@8 needs 8 samples, there are 4"):
        pass_at_k(4, 4, 8)
    with pytest.raises(ValueError, match="maj@8 needs 8 samples, there are 4"):
        majority_at_k(["1"] * 4, [True] * 4, 8)


@pytest.mark.parametrize(
    ("answers", "right", "share"),
    [
        (["1"], [True], 1.0),
        (["1", "1", "2"], [True, True, False], 1.0),
        (["1", "2", "2"], [True, False, False], 0.0),
        (["1", "2"], [True, False], 0.5),  # a tie
        (["1", "2", "3"], [True, False, False], 1 / 3),
        (["1", "1", "2", "2", "3"], [True, True, False, False, False], 0.5),
        ([None, None, "1"], [False, False, True], 1.0),  # who says nothing does not vote
        ([None, None], [False, False], 0.0),
        ([], [], 0.0),
    ],
)
def test_a_vote(answers: list[str | None], right: list[bool], share: float) -> None:
    assert majority(answers, right) == pytest.approx(share)


@given(st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=7), st.data())
def test_maj_at_k_is_the_mean_vote_over_subsets(answers: list[str | None], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    right = [answer == "1" for answer in answers]
    votes = []
    for subset in combinations(answers, k):
        counts = {answer: subset.count(answer) for answer in subset if answer is not None}
        leaders = [answer for answer in counts if counts[answer] == max(counts.values())]
        votes.append(("1" in leaders) / len(leaders) if leaders else 0.0)
    assert majority_at_k(answers, right, k) == pytest.approx(sum(votes) / len(votes))


def test_maj_at_k_of_many_samples_uses_each_in_one_block() -> None:
    answers = (["1"] * 3 + ["2"]) * 8  # every block of four has the vote 1; there are 35,960 subsets
    assert majority_at_k(answers, [answer == "1" for answer in answers], 4) == 1.0
    blocks = ["1"] * 16 + ["2"] * 16
    assert majority_at_k(blocks, [answer == "1" for answer in blocks], 4) == 0.5


@pytest.mark.parametrize(
    ("share", "size", "low", "high"),
    [  # Newcombe 1998 (Stat. Med. 17:857), table I, method 3: 81/263, 15/148, 0/20, 1/29
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0000, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
        (1.0, 10, 0.7225, 1.0000),
        (0.5, 0, 0.0, 1.0),
    ],
)
def test_wilson_by_the_book(share: float, size: int, low: float, high: float) -> None:
    assert wilson(share, size) == pytest.approx((low, high), abs=5e-5)


@given(st.floats(0, 1), st.floats(1, 1e6))
def test_an_interval_holds_its_share(share: float, size: float) -> None:
    low, high = wilson(share, size)
    assert 0.0 <= low <= share <= high <= 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_an_estimate_holds_its_mean(scores: list[float]) -> None:
    found = estimate(scores)
    assert found.problems == len(scores)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.value == pytest.approx(sum(scores) / len(scores))


def test_an_estimate_of_right_and_wrong_is_wilsons() -> None:
    found = estimate([1.0] * 81 + [0.0] * 182)
    assert (found.low, found.high) == pytest.approx(wilson(81 / 263, 263), abs=2e-3)
    assert estimate([1.0] * 10).low == pytest.approx(0.7225, abs=5e-5)
    assert estimate([0.0] * 10).high == pytest.approx(0.2775, abs=5e-5)


def test_more_samples_of_a_problem_narrow_the_interval_less_than_more_problems() -> None:
    rng = random.Random(0)
    chances = [rng.betavariate(0.5, 0.5) for _ in range(400)]
    few = estimate([sum(rng.random() < p for _ in range(64)) / 64 for p in chances[:100]])
    many = estimate([float(rng.random() < p) for p in chances])
    assert many.high - many.low < few.high - few.low


def test_rounding_is_no_spread() -> None:
    found, same = estimate([0.1 + 0.2, 0.3, 0.3]), estimate([0.3] * 3)
    assert (
        (found.low, found.high) == (pytest.approx(same.low), pytest.approx(same.high)) == pytest.approx(wilson(0.3, 3))
    )


def test_few_problems_with_many_samples_by_hand() -> None:
    """0.4 and 0.6: variance of the mean 0.01, size 25; times (1.96 / 12.706)² that is 0.6, so 2 problems count as 2."""
    assert (estimate([0.4, 0.6]).low, estimate([0.4, 0.6]).high) == pytest.approx(wilson(0.5, 2))
    size = 0.25 / (0.01 / 3 / 4) * (1.959964 / 3.182446) ** 2  # four scores, each 0.05 away: their squares are 0.01
    found = estimate([0.45, 0.45, 0.55, 0.55])
    assert (found.low, found.high) == pytest.approx(wilson(0.5, size), abs=1e-6)


def test_no_problem_is_refused() -> None:
    with pytest.raises(ValueError, match="no problem was scored"):
        estimate([])


def test_a_record() -> None:
    record = Estimate(0.5, 0.4, 0.6, 100).record("eval/pass@1")
    assert record == {"eval/pass@1": 0.5, "eval/pass@1_low": 0.4, "eval/pass@1_high": 0.6}


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize(("alpha", "beta"), [(2, 2), (0.5, 0.5), (1, 4)])
def test_intervals_cover_the_truth_as_often_as_they_promise(n: int, alpha: float, beta: float) -> None:
    """100 problems whose chances differ, n samples of each: 95 % of the intervals hold the mean chance."""
    rng = random.Random(1)
    truth, trials = alpha / (alpha + beta), 1500
    covered = 0
    for _ in range(trials):
        chances = [rng.betavariate(alpha, beta) for _ in range(100)]
        found = estimate([sum(rng.random() < chance for _ in range(n)) / n for chance in chances])
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / trials <= 0.98


@pytest.mark.parametrize("count", [3, 5, 10, 30])
@pytest.mark.parametrize(("alpha", "beta"), [(5, 5), (0.5, 0.5), (20, 5)])
def test_intervals_of_few_problems_with_many_samples_keep_their_promise(count: int, alpha: float, beta: float) -> None:
    """64 samples of each tell a problem's chance, and only few problems tell how chances are spread."""
    rng = random.Random(2)
    truth, trials = alpha / (alpha + beta), 1000
    covered = 0
    for _ in range(trials):
        scores = [min(max(round(64 * rng.betavariate(alpha, beta)), 0), 64) / 64 for _ in range(count)]
        found = estimate(scores)
        covered += found.low <= truth <= found.high
    assert covered / trials >= 0.92
