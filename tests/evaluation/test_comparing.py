"""Two models, paired by problem."""

from __future__ import annotations

import math
import random
from itertools import product
from statistics import mean, stdev
from typing import Any

import pytest
from omegaconf import OmegaConf

from r1lab.engines.base import Sampling
from r1lab.errors import DataError
from r1lab.evaluation.comparing import compare
from r1lab.evaluation.fingerprint import conditions, differing, fingerprint
from r1lab.evaluation.metrics import t95
from r1lab.evaluation.records import Record
from tests.evaluation.building import problem, record, sample

TABLE = {1: 12.7062, 2: 4.3027, 4: 2.7764, 10: 2.2281, 29: 2.0452, 120: 1.9799, 499: 1.9647}  # Student's t, 97.5 %


def scored(scores: list[float], of: int = 4, **more: object) -> Record:
    made = [problem(str(i), *[sample(float(j < score * of)) for j in range(of)]) for i, score in enumerate(scores)]
    return record(*made, **more)


@pytest.mark.parametrize("freedom, point", TABLE.items())
def test_students_t_is_the_tables(freedom: int, point: float) -> None:
    assert t95(freedom) == pytest.approx(point, abs=2e-4)


def test_the_difference_is_paired() -> None:
    ours, theirs = [1.0, 0.5, 0.25, 0.75], [0.75, 0.25, 0.25, 0.25]
    found = compare(scored(ours), scored(theirs))
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    half = 3.1824 * stdev(differences) / math.sqrt(4)
    assert found.difference == pytest.approx(mean(differences)) == pytest.approx(0.25)
    assert (found.low, found.high) == (pytest.approx(0.25 - half, abs=1e-4), pytest.approx(0.25 + half, abs=1e-4))
    assert (found.problems, found.better, found.worse, found.unpaired) == (4, 3, 0, 0)
    assert not found.shown and "no difference shown" in found.sentence()


def test_a_clear_difference_is_shown_and_an_equal_pair_is_not() -> None:
    hard = [i / 40 * 0.5 for i in range(40)]
    better = compare(scored([x + 0.25 + 0.25 * (i % 2) for i, x in enumerate(hard)]), scored(hard))
    assert better.shown and better.low > 0 and "the first is better" in better.sentence()
    same, half = compare(scored(hard), scored(hard)), 1 - 0.025 ** (1 / 40)
    assert same.difference == 0 and not same.shown and (same.low, same.high) == (-half, half)


def test_rounding_is_no_spread() -> None:
    """3/5 − 2/5 and 4/5 − 3/5 are not one number in floating point; two problems show nothing all the same."""
    found = compare(scored([0.6, 0.8], of=5), scored([0.4, 0.6], of=5))
    assert 0.6 - 0.4 != 0.8 - 0.6
    assert found.low == pytest.approx(0.2 - (1 - 0.025**0.5)) and found.high == 1.0
    assert not found.shown and "no difference shown" in found.sentence()


def test_the_interval_holds_what_it_says() -> None:
    """Of two equal models, a difference is shown about one time in twenty."""
    dice, shown = random.Random(3), 0
    for _ in range(200):
        chances = [dice.random() for _ in range(30)]
        one, other = ([sum(dice.random() < p for _ in range(4)) / 4 for p in chances] for _ in range(2))
        shown += compare(scored(one), scored(other)).shown
    assert 2 <= shown <= 22  # 10 expected


def test_what_only_one_has_is_left_out_and_told() -> None:
    found = compare(scored([1.0, 0.0, 1.0]), scored([1.0, 0.0]))
    assert (found.problems, found.unpaired) == (
        2,
        1,
    ) and "; 1 problem that only one has is left out" in found.sentence()
    with pytest.raises(DataError, match="share no problem"):
        compare(record(problem("a", sample(1.0))), record(problem("b", sample(1.0))))
    with pytest.raises(DataError, match="two benchmarks"):
        compare(scored([1.0]), scored([1.0], benchmark="aime25"))


def test_other_conditions_are_told() -> None:
    sampling = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 32768, "samples": 2, "seed": 1}
    other = scored([1.0, 0.0], made_by={"sampling": sampling, "evaluator": "lighteval"})
    said = compare(scored([1.0, 0.0]), other).differing
    assert said == ["evaluator native ≠ lighteval", "sampling.temperature 0.6 ≠ 1.0"]


def test_where_it_is_judged_makes_no_other_conditions() -> None:
    """And an own template, which no published figure was made with, is told."""
    sampling = Sampling(4, 0.6, 0.95, max_tokens=64, seed=7)

    def made(template: str | None = None, **sandbox: str) -> dict[str, Any]:
        model = {"name": "m", "repo": None, "path": "x", "chat_template": template}
        cfg = OmegaConf.create({"engine": {"name": "transformers"}, "model": model})
        scorer = OmegaConf.create({"_target_": "a.b", "seconds": 6, "sandbox": sandbox})
        return conditions(cfg, {"template": "t", "weights": "w"}, sampling, "prompt", "data", scorer)

    one, other = made(endpoint="http://a:1"), made(endpoint="http://b:2")
    assert fingerprint(one) == fingerprint(other) and differing(one, other) == []
    assert one["scorer"] == {"_target_": "a.b", "seconds": 6}
    assert one["model"] == {"name": "m", "repo": None, "path": "x", "template": "t", "weights": "w"}
    assert (one["own_template"], made("mine")["own_template"]) == (False, True)


def test_a_usual_value_that_only_one_has_written_is_no_difference() -> None:
    """But the fingerprints of what was kept stay what they were."""
    plain, written = ({"scorer": {"_target_": "a.b", **more}} for more in ({}, {"weight": 1.0, "max_failures": 0.5}))
    assert differing(plain, written) == differing(written, plain) == []
    assert fingerprint(plain) != fingerprint(written)
    other = {"scorer": {"_target_": "a.b", "weight": 2.0, "max_failures": 0.5, "seconds": 6}}
    assert differing(plain, other) == ["scorer.seconds None ≠ 6", "scorer.weight 1.0 ≠ 2.0"]


def test_a_problem_that_is_asked_twice_is_paired_twice() -> None:
    """Each with its own occurrence; where the answers differ, by those, in whatever order the rows are."""
    right, wrong = sample(1.0), sample(0.0)
    one = record(problem("a", right), problem("a", wrong), problem("b", right, gold="1"), problem("b", wrong, gold="2"))
    two = record(problem("b", wrong, gold="2"), problem("b", right, gold="1"), problem("a", right), problem("a", right))
    found = compare(one, two)
    assert (found.problems, found.better, found.worse, found.unpaired) == (4, 0, 1, 0)  # all but the second "a"
    assert found.difference == -0.25 and "left out" not in found.sentence()
    turned = compare(two, one)
    assert (turned.difference, turned.low, turned.high) == (0.25, -found.high, -found.low)


def test_one_occurrence_more_is_left_out_and_told() -> None:
    one = record(*[problem("a", sample(1.0)) for _ in range(3)])
    found = compare(one, record(problem("a", sample(0.0)), problem("a", sample(1.0))))
    assert (found.problems, found.better, found.unpaired) == (2, 1, 1)
    assert "; 1 problem that only one has is left out" in found.sentence()


def test_what_one_of_them_could_not_judge_is_told_apart() -> None:
    none = sample(None, reason="no verdict")
    one = record(problem("a", sample(1.0)), problem("b", none), problem("c", none))
    other = record(problem("a", sample(1.0)), problem("b", sample(1.0)), problem("c", sample(0.0)))
    found = compare(one, other)
    assert (found.problems, found.unpaired, found.unjudged) == (1, 0, 2)
    assert found.sentence().startswith("aime24: +0.0 points (95 % interval -97.5 to +97.5, 1 problem, 0 better, 0")
    assert "; 2 problems that one of them could not judge are left out" in found.sentence()
    with pytest.raises(DataError, match="of 1 problem that they share, none was judged in both"):
        compare(record(problem("b", none)), record(problem("b", sample(1.0))))


def test_pairs_with_another_gold_answer_are_told() -> None:
    found = compare(record(problem("a", sample(1.0), gold="1")), record(problem("a", sample(0.0), gold="2")))
    assert (found.problems, found.regolded) == (1, 1)
    assert "1 pair of problems is judged by different gold answers" in found.sentence()


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("alike", [0, 3])
def test_so_few_problems_show_what_the_exact_test_shows(count: int, alike: int) -> None:
    """Of all ways to give the differences signs, at most one in twenty has a mean as far from 0."""
    found = compare(scored([1.0] * count + [0.5] * alike), scored([0.0] * count + [0.5] * alike))
    as_far = sum(abs(sum(signs)) == count for signs in product((-1, 1), repeat=count))
    assert found.shown == (as_far / 2**count <= 0.05)
    text = found.sentence()
    assert ("the first is better" in text) == found.shown and ("no difference shown" in text) != found.shown
    assert ("since fewer than 6 problems went differently" in text) == (found.low > 0 and not found.shown)


def test_one_problem_shows_nothing() -> None:
    found = compare(scored([1.0]), scored([0.0]))
    assert (found.low, found.high, found.shown) == (-0.95, 1.0, False)
