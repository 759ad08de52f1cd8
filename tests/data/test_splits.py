"""No prompt stands on both sides of a split, however the rows repeat themselves."""

from __future__ import annotations

from collections import Counter

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from r1lab.data.splits import keep_apart, prompt_key, split_off
from r1lab.errors import DataError


def rows(prompts: list[str]) -> Dataset:
    return Dataset.from_dict({"problem": prompts, "n": list(range(len(prompts)))})


@given(
    prompts=st.lists(st.sampled_from(["a", "b", " b", "c  c", "c c", "d", "e", "f"]), min_size=1, max_size=30),
    test=st.integers(0, 40),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=100)
def test_a_split(prompts: list[str], test: int, seed: int) -> None:
    parts = split_off(rows(prompts), test, seed, ["problem"])
    train, held = ({" ".join(text.split()) for text in part["problem"]} for part in (parts.train, parts.test))
    assert not train & held
    assert sorted([*parts.train["n"], *parts.test["n"]]) == list(range(len(prompts)))
    assert len(parts.test) <= min(test, len(prompts) // 2)
    counts = Counter(" ".join(text.split()) for text in prompts)
    if set(counts.values()) == {1}:
        assert len(parts.test) == min(test, len(prompts) // 2)
    again = split_off(rows(prompts), test, seed, ["problem"])
    assert (again.train["n"], again.test["n"]) == (parts.train["n"], parts.test["n"])


@pytest.mark.parametrize(
    ("prompts", "sizes", "said"),
    [
        (["a"], (1, 0), "no row can be held out: nothing is evaluated on the way"),
        (["a", "b"], (1, 1), "1 row held out of 2, 1 to train on"),
        (["a", "a"], (2, 0), "1 row with the prompt of another one, on the same side as that"),
    ],
)
def test_small_files(prompts: list[str], sizes: tuple[int, int], said: str) -> None:
    parts = split_off(rows(prompts), 400, 42, ["problem"])
    assert (len(parts.train), len(parts.test)) == sizes
    assert said in parts.said


def test_nothing_held_out_is_said() -> None:
    parts = split_off(rows(["a", "b"]), 0, 42, ["problem"])
    assert (len(parts.train), len(parts.test)) == (2, 0)
    assert parts.said == ["no rows are held out (dataset.test=0): nothing is evaluated on the way"]


def test_what_makes_two_prompts_the_same() -> None:
    asked = [{"role": "user", "content": "1 + 1?"}]
    system, said = {"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "2"}
    assert prompt_key([system, *asked]) == prompt_key(asked) == prompt_key([*asked, said])
    assert prompt_key([*asked, said, {"role": "user", "content": "Sure?"}, said]) != prompt_key(asked)
    assert prompt_key("1 +\n 1?") == prompt_key(" 1 + 1?") != prompt_key("1 + 2?")


def test_a_column_that_is_not_there_is_no_prompt() -> None:
    data = Dataset.from_dict({"talk": [[{"role": "user", "content": text}] for text in "aabb"]})
    parts = split_off(data, 2, 0, ["problem", "talk"])
    assert len({turns[0]["content"] for turns in parts.test["talk"]}) == 1
    assert len(split_off(Dataset.from_dict({"x": [1, 1, 2]}), 1, 0, ["problem"]).test) == 1  # whole rows are compared


def test_rows_held_out_by_themselves_are_left_out_of_the_others() -> None:
    parts = keep_apart(rows(["a", "b", " a ", "c"]), rows(["a", "d"]), ["problem"])
    assert parts.train["problem"] == ["b", "c"] and parts.test["problem"] == ["a", "d"]
    assert parts.said == [
        "2 rows held out by themselves, 2 to train on",
        "left 2 rows out: their prompt is among the held-out ones",
    ]
    with pytest.raises(DataError, match="every prompt of the 1 row to train on"):
        keep_apart(rows(["a"]), rows(["a"]), ["problem"])


@pytest.mark.parametrize(("test", "held"), [(0.1, 2), (0.49, 10), (0.9, 10), (0.01, 0), (1, 1), (3.0, 3), (0.0, 0)])
def test_a_share_of_the_rows(test: float, held: int) -> None:
    parts = split_off(rows([str(n) for n in range(20)]), test, 1, ["problem"])
    assert (len(parts.train), len(parts.test)) == (20 - held, held)
