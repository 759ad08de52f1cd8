"""task=eval of a dataset: killed at any batch it makes what is missing, and ends as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from r1lab.engines.base import Completion, Conversation, Sampling
from r1lab.engines.transformers import TransformersEngine
from r1lab.notebook import compose, run

WORDS = ("task=eval", "debug=true", "task.n=3", "task.k=[1,3]", "eval.batch=6", "reward=[accuracy,length]")
Go = Callable[..., dict[str, Any]]


class Killed(BaseException):
    """In the place of a signal: nothing catches it on the way."""


@pytest.fixture
def go(small: tuple[str, ...], tmp_path: Path) -> Go:
    """Evaluates into a folder of this name."""

    def make(name: str, *words: str) -> dict[str, Any]:
        return run(compose(*small, *WORDS, *words), tmp_path / name)

    return make


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, range]]:
    """Of every batch that is sampled how many prompts it has, and which of their completions."""
    whole, batches = TransformersEngine._batch, list[tuple[int, range]]()

    def batch(
        self: TransformersEngine, prompts: Sequence[Conversation], sampling: Sampling, shared: Any
    ) -> list[list[Completion]]:
        batches.append((len(prompts), range(sampling.first, sampling.first + sampling.n)))
        return whole(self, prompts, sampling, shared)

    monkeypatch.setattr(TransformersEngine, "_batch", batch)
    return batches


def said(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "completions/eval.jsonl").read_text().splitlines()]


def numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in ("eval_seconds", "folder")}


def test_a_killed_evaluation_makes_what_is_missing(
    go: Go, asked: list[tuple[int, range]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = go("whole")
    assert asked == [(2, range(3))] * 4
    asked.clear()
    with monkeypatch.context() as patch:
        noted = TransformersEngine._batch

        def dying(*arguments: Any) -> list[list[Completion]]:
            if len(asked) == 3:
                raise Killed
            return noted(*arguments)

        patch.setattr(TransformersEngine, "_batch", dying)
        with pytest.raises(Killed):
            go("killed")
    assert len(asked) == 3
    asked.clear()
    again = go("killed")
    assert asked == [(2, range(3))]  # the fourth batch
    assert said(tmp_path / "killed") == said(tmp_path / "whole")
    assert numbers(again) == numbers(whole)
    asked.clear()
    assert numbers(go("killed")) == numbers(whole) and asked == []


def test_more_samples_make_the_others(go: Go, asked: list[tuple[int, range]], tmp_path: Path) -> None:
    go("few", "reward=[accuracy]")
    first = said(tmp_path / "few")
    asked.clear()
    go("few", "reward=[accuracy]", "task.n=5")
    assert {indices for _, indices in asked} == {range(3, 5)} and sum(count for count, _ in asked) == 8
    more = said(tmp_path / "few")
    assert [item for item in more if item["sample"] < 3] == first and len(more) == 40
    go("whole", "reward=[accuracy]", "task.n=5")
    assert said(tmp_path / "whole") == more


def test_rewards_of_tokens_read_the_same_from_the_store(go: Go, asked: list[tuple[int, range]], tmp_path: Path) -> None:
    words = ("reward=[soft_overlong_punishment]", "eval.problems=4")
    first = go("tokens", *words)
    scores = [item["rewards"] for item in said(tmp_path / "tokens")]
    asked.clear()
    assert numbers(go("tokens", *words)) == numbers(first) and asked == []
    assert [item["rewards"] for item in said(tmp_path / "tokens")] == scores
    (kept,) = (tmp_path / "tokens/store").glob("*.jsonl")
    assert all(json.loads(line)["ids"] for line in kept.read_text().splitlines())
    go("texts", f"task.store={tmp_path / 'tokens/store'}", "reward=[accuracy]", "eval.problems=4")
    assert asked != []  # kept without tokens they are others


def test_each_sample_has_a_seed_of_its_own(go: Go, tmp_path: Path) -> None:
    go("run")
    lines = (tmp_path / "run/evaluation/arithmetic.jsonl").read_text().splitlines()[1:]
    seeds = [sample["seed"] for line in lines for sample in json.loads(line)["samples"]]
    assert len(seeds) == 24 == len(set(seeds)) and None not in seeds
