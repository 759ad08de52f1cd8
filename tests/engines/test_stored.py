"""Sampling through a store: an engine that counts what it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r1lab.engines.base import Completion, Sampling
from r1lab.engines.store import Store
from r1lab.engines.stored import complete, gaps, keys_of, runs
from r1lab.errors import EngineError

WHO = {"model": "m", "revision": "main"}


def ask(text):
    return [{"role": "user", "content": text}]


class Counting:
    """Completes by saying what it was asked, and fails where it is told to."""

    def __init__(self, fail=(), die_after=None):
        self.asked, self.fail, self.die_after = [], set(fail), die_after

    def generate(self, prompts, sampling, on_progress=None, on_completion=None):
        for place, prompt in enumerate(prompts):
            for index in range(sampling.first, sampling.first + sampling.n):
                text = prompt[-1]["content"]
                if self.die_after is not None and len(self.asked) >= self.die_after:
                    raise EngineError("gone")
                self.asked.append((text, index))
                bad = (text, index) in self.fail
                made = Completion("", 0, "error", error="no") if bad else Completion(f"{text}{index}", 5, "stop")
                on_completion(place, index, made)
        return []


def run(folder, engine, texts, n, **changes):
    with Store(folder) as store:
        sampling = replace(Sampling(n=n, seed=1), **changes)
        rows = complete(engine, store, [ask(text) for text in texts], sampling, WHO)
    return [[item.text or item.error for item in row] for row in rows]


def test_only_what_is_missing_is_made(tmp_path):
    engine = Counting()
    assert run(tmp_path, engine, ["a", "b"], 2) == [["a0", "a1"], ["b0", "b1"]]
    assert run(tmp_path, engine, ["a", "b"], 2) == [["a0", "a1"], ["b0", "b1"]]
    assert len(engine.asked) == 4
    assert run(tmp_path, engine, ["b", "c"], 3) == [["b0", "b1", "b2"], ["c0", "c1", "c2"]]
    assert engine.asked[4:] == [("c", 0), ("c", 1), ("c", 2), ("b", 2)]
    assert run(tmp_path, engine, ["a"], 1) == [["a0"]]
    assert len(engine.asked) == 8


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"temperature": 0.5}, {"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}, {"max_tokens": 9}]
)
def test_anything_that_matters_makes_a_new_key(tmp_path, change):
    engine = Counting()
    run(tmp_path, engine, ["a"], 1)
    run(tmp_path, engine, ["a"], 1, **change)
    assert len(engine.asked) == 2
    with Store(tmp_path) as store:
        complete(engine, store, [ask("a")], Sampling(seed=1), {**WHO, "revision": "other"})
    assert len(engine.asked) == 3


def test_failures_are_told_and_asked_for_again(tmp_path):
    assert run(tmp_path, Counting(fail=[("a", 1)]), ["a"], 3) == [["a0", "no", "a2"]]
    engine = Counting()
    assert run(tmp_path, engine, ["a"], 3) == [["a0", "a1", "a2"]]
    assert engine.asked == [("a", 1)]


def test_what_was_made_before_the_engine_died_is_kept(tmp_path):
    with pytest.raises(EngineError):
        run(tmp_path, Counting(die_after=5), ["a", "b", "c"], 2)
    engine = Counting()
    assert run(tmp_path, engine, ["a", "b", "c"], 2) == [["a0", "a1"], ["b0", "b1"], ["c0", "c1"]]
    assert engine.asked == [("c", 1)]


def test_the_same_prompt_twice_is_made_once(tmp_path):
    engine, counts = Counting(), []
    with Store(tmp_path) as store:
        rows = complete(
            engine, store, [ask("a")] * 3, Sampling(n=2), WHO, lambda done, total: counts.append((done, total))
        )
    assert [[item.text for item in row] for row in rows] == [["a0", "a1"]] * 3
    assert engine.asked == [("a", 0), ("a", 1)]
    assert counts == [(0, 6), (3, 6), (6, 6)]


def test_reasoning_and_counts_come_back(tmp_path):
    made = Completion("4", 9, "length", reasoning="2 + 2", prompt_tokens=3)

    class One:
        def generate(self, prompts, sampling, on_progress=None, on_completion=None):
            on_completion(0, 0, made)
            return []

    for _ in range(2):
        with Store(tmp_path) as store:
            assert complete(One(), store, [ask("a")], Sampling(), WHO) == [[made]]


def test_an_engine_that_gives_too_little_is_told_apart(tmp_path):
    class Nothing:
        def generate(self, prompts, sampling, on_progress=None, on_completion=None):
            return []

    with Store(tmp_path) as store:
        ((item,),) = complete(Nothing(), store, [ask("a")], Sampling(), WHO)
    assert item.finish == "error" and "fewer completions" in item.error


def test_runs_and_gaps(tmp_path):
    assert runs([]) == []
    assert runs([0, 1, 3, 5, 6, 7]) == [(0, 2), (3, 1), (5, 3)]
    keys = keys_of([ask("a"), ask("b"), ask("a")], Sampling(), WHO)
    assert keys[0] == keys[2] != keys[1]
    with Store(tmp_path) as store:
        store.add(keys[0], 1, {"completion": "x"})
        assert list(gaps(store, keys, 3)) == [([0], 0, 1), ([1], 0, 3), ([0], 2, 1)]
