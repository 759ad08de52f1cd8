"""Column addition: the teacher, the splits, and the diagnosis of what a model writes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.data import arithmetic
from r1lab.data.arithmetic import LINE, completion, diagnose, draw, explain, load, part_of, problems, question, trace
from r1lab.errors import DataError
from r1lab.rewards.math import accuracy
from r1lab.rewards.text import format

DICE = random.Random(0)
sums = st.lists(st.integers(0, 99_999), min_size=2, max_size=9).map(tuple)


def spelled(work: str) -> str:
    """The number that the last digits of a trace's lines spell, after the last line's carry."""
    totals = [line.rpartition("=")[2] for line in work.split("\n")]
    return str(int(totals[-1][0] + "".join(total[1] for total in reversed(totals))))


@given(sums)
def test_without_habits_every_trace_is_right(problem: tuple[int, ...]) -> None:
    work, answer = trace(problem, DICE)
    assert answer == str(sum(problem)) == spelled(work)
    carry = 0
    for place, line in enumerate(work.split("\n")):
        left, _, total = line.partition("=")
        digits = [number // 10**place % 10 for number in problem]
        assert [int(digit) for digit in left.split("+")] == [*digits, carry]
        assert int(total) == sum(digits) + carry and len(total) == 2
        carry = int(total) // 10
    assert place + 1 == max(len(str(number)) for number in problem)


@given(sums, st.floats(0, 1), st.floats(0, 1), st.integers())
def test_the_answer_is_what_the_lines_spell_whatever_the_habits(
    problem: tuple[int, ...], forget: float, slip: float, seed: int
) -> None:
    work, answer = trace(problem, random.Random(seed), forget, slip)
    assert answer == spelled(work)
    assert all(LINE.fullmatch(line) for line in work.split("\n"))


@given(sums)
def test_a_writer_who_forgets_drops_every_carry_but_the_one_that_is_read(problem: tuple[int, ...]) -> None:
    work, answer = trace(problem, DICE, forget=1.0)
    width = max(len(str(number)) for number in problem)
    columns = [sum(number // 10**place % 10 for number in problem) for place in range(width)]
    for line, column in zip(work.split("\n"), columns, strict=True):
        left, _, total = line.partition("=")
        assert left.endswith("+0") and int(total) == column
    kept = [column % 10 for column in columns[:-1]] + [columns[-1]]
    assert int(answer) == sum(value * 10**place for place, value in enumerate(kept))


def test_a_writer_who_slips_is_off_by_one_in_every_column() -> None:
    work, _ = trace((123, 456), random.Random(0), slip=1.0)
    for line in work.split("\n"):
        left, _, total = line.partition("=")
        assert abs(int(total) - sum(int(digit) for digit in left.split("+"))) == 1


def test_a_worked_trace() -> None:
    assert completion((157, 68), DICE) == "<think>\n7+8+0=15\n5+6+1=12\n1+0+1=02\n</think>\n<answer>\n225\n</answer>"
    assert completion((157, 68), DICE, forget=1.0).endswith(
        "7+8+0=15\n5+6+0=11\n1+0+0=01\n</think>\n<answer>\n115\n</answer>"
    )


@given(st.integers(), st.integers(), st.integers(1, 3), st.integers(2, 4))
def test_held_out_and_training_problems_never_overlap(seed: int, other: int, digits: int, terms: int) -> None:
    count = 3 if digits * terms > 2 else 1
    held_out = {part: set(problems(part, count, digits, terms, seed)) for part in ("test", "base", "train")}
    assert not held_out["test"] & set(problems("train", count, digits, terms, other))
    assert not held_out["test"] & set(problems("base", count, digits, terms, other)) - held_out["base"]
    assert not set(problems("base", count, digits, terms, seed)) & set(problems("train", count, digits, terms, other))


def test_the_parts_are_disjoint_tenths_except_that_no_model_was_built_on_the_held_out_ones() -> None:
    parts = {name: set(tenths) for name, tenths in arithmetic.PARTS.items()}
    assert (
        not parts["test"] & parts["base"] and not parts["test"] & parts["train"] and not parts["base"] & parts["train"]
    )
    everything = [(a, b) for a in range(100) for b in range(100)]
    shares = [sum(part_of(problem) == tenth for problem in everything) / len(everything) for tenth in range(10)]
    assert all(0.08 < share < 0.12 for share in shares)


@pytest.mark.parametrize("part", ["test", "base", "train"])
def test_as_many_different_problems_as_asked_for_of_the_size_asked_for(part: str) -> None:
    found = problems(part, 200, 3, 2, seed=1)
    assert len(set(found)) == 200 and found == problems(part, 200, 3, 2, seed=1) != problems(part, 200, 3, 2, seed=2)
    assert {len(problem) for problem in found} == {2}
    assert all(100 <= number <= 999 for problem in found for number in problem)


def test_more_problems_than_there_are_is_refused_with_the_number_there_is() -> None:
    possible = sum(part_of((a, b)) in arithmetic.PARTS["train"] for a in range(1, 10) for b in range(1, 10))
    assert len(problems("train", possible, 1, 2, seed=0)) == possible
    with pytest.raises(DataError, match=f"about {possible} problems for train, not 500") as caught:
        problems("train", 500, 1, 2, seed=0)
    assert f"dataset.digits=2 or dataset.train={possible}" in str(caught.value)


def test_columns_carry_as_often_as_asked_for() -> None:
    rng = random.Random(0)
    drawn = [draw(rng, 3, 2, carries=1.0) for _ in range(300)]
    assert all(sum(column) >= 10 for problem in drawn for column in arithmetic.columns_of(problem))
    plain = [draw(rng, 3, 2, carries=0.0) for _ in range(3000)]
    share = sum(sum(next(arithmetic.columns_of(problem))) >= 10 for problem in plain) / len(plain)
    assert abs(share - 0.45) < 0.04  # of the hundred pairs of digits, 45 reach ten


def test_the_dataset_has_right_solutions_and_habits_in_its_traces_only_for_training() -> None:
    splits = load(digits=3, terms=2, train=60, test=40, seed=5, forget=1.0)
    assert (len(splits.train), len(splits.test)) == (60, 40)
    for rows in (splits.train, splits.test):
        assert rows.column_names == ["prompt", "solution", "messages"]
        for row in rows:
            assert row["solution"] == str(sum(arithmetic.numbers_in(row["prompt"])))
            assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
            assert row["messages"][0]["content"] == row["prompt"]
    written = [[row["messages"][1]["content"] for row in rows] for rows in (splits.train, splits.test)]
    assert 0 < sum(accuracy(written[0], splits.train["solution"])) < 60  # type: ignore[arg-type]
    assert accuracy(written[1], splits.test["solution"]) == [1.0] * 40
    assert format(written[0] + written[1]) == [1.0] * 100


def test_diagnose_by_hand() -> None:
    right = completion((157, 68), DICE)  # carries out of the first two columns, both taken up
    forgotten = completion((157, 68), DICE, forget=1.0)  # neither is
    miscopied = "<think>\n7+9+0=16\n5+6+1=12\n1+0+1=02\n</think>\n<answer>\n226\n</answer>"
    missummed = "<think>\n7+8+0=14\n5+6+1=12\n1+0+1=02\n</think>\n<answer>\n224\n</answer>"
    misread = right.replace("225", "999")
    garbage = [
        "",
        "225",
        right + "!",
        right.replace("7+8+0=15\n", ""),
        right.replace("7+8", "7 + 8"),
        right.replace("=15", "=115"),
        "<think>\n\n</think>\n<answer>\n225\n</answer>",
        "\ud800\x00",
    ]
    written = [right, forgotten, miscopied, missummed, misread]
    rates = diagnose([question((157, 68))] * 13, [*written, *garbage])
    assert rates == {
        "traces": 5 / 13,
        "copied": 14 / 15,  # one of five traces' fifteen lines
        "carries_kept": 8 / 10,
        "columns_right": 14 / 15,
        "read_off": 4 / 5,
    }


def test_a_carry_is_kept_only_whole() -> None:
    problem = (99, 99, 99)
    assert diagnose([question(problem)], [completion(problem, DICE)])["carries_kept"] == 1.0
    halved = "<think>\n9+9+9+0=27\n9+9+9+1=28\n</think>\n<answer>\n287\n</answer>"
    assert diagnose([question(problem)], [halved])["carries_kept"] == 0.0


def test_diagnose_leaves_out_rates_without_a_case() -> None:
    assert diagnose([], []) == {}
    assert diagnose([question((1, 2))], ["?"]) == {"traces": 0.0}
    assert "carries_kept" not in diagnose([question((1, 2))], [completion((1, 2), DICE)])


@given(st.text())
def test_any_text_can_be_diagnosed(text: str) -> None:
    assert diagnose([question((12, 3))], [text])["traces"] in (0.0, 1.0)


@pytest.mark.parametrize("forget", [0.0, 0.3, 1.0])
def test_the_diagnosis_finds_the_habit_that_the_writer_has(forget: float) -> None:
    rng = random.Random(1)
    chosen = [tuple(rng.randint(100, 999) for _ in range(2)) for _ in range(2000)]
    rates = diagnose([question(problem) for problem in chosen], [completion(p, rng, forget) for p in chosen])
    assert abs(rates["carries_kept"] - (1 - forget)) < 0.04
    assert rates["traces"] == rates["copied"] == rates["columns_right"] == rates["read_off"] == 1.0


def test_explain_says_what_both_diagnoses_know() -> None:
    said = explain({"carries_kept": 0.4, "traces": 1.0}, {"carries_kept": 0.95, "read_off": 1.0, "traces": 0.5})
    assert said == [
        "Carries taken up by the next column: 40% before, 95% after.",
        "Completions that are a whole column-by-column trace: 100% before, 50% after.",
    ]
    assert explain({}, {"traces": 1.0}) == []
    known = explain({"carries_kept": 0.1, "columns_right": 0.9}, {"carries_kept": 0.9, "columns_right": 0.95})
    assert known[-1].startswith("What went away is a habit")
    learnt = explain({"carries_kept": 0.1, "columns_right": 0.1}, {"carries_kept": 0.9, "columns_right": 0.95})
    assert not any("habit" in sentence for sentence in learnt)
