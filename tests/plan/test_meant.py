"""The nearest choice of a word that stands in the wrong group or goes by another name: what the user means."""

from __future__ import annotations

import pytest

from r1lab.plan.meant import other, same, slip
from tests.command_line import CommandLine

MISTAKES = [  # a command, and the key that its last word means
    ("task=eval task.max_tokens=512", "eval.max_tokens"),
    ("task=eval engine.max_tokens=512", "eval.max_tokens"),
    ("task=eval sampling.max_tokens=512", "eval.max_tokens"),
    ("task=eval max_new_tokens=512", "eval.max_tokens"),
    ("task=eval task.temperature=0.6", "eval.temperature"),
    ("task=eval task.samples=4", "task.n"),
    ("task=eval task.batch_size=4", "eval.batch"),
    ("task=eval eval.n=4", "task.n"),
    ("task=eval eval.limit=4", "eval.problems"),
    ("task=eval task.seed=4", "seed"),
    ("task=eval benchmark=[arithmetic] task.max_tokens=512", "benchmark.arithmetic.max_tokens"),
    ("task=eval benchmark=[arithmetic] benchmark.arithmetic.n=4", "benchmark.arithmetic.samples"),
    ("task=generate engine.max_tokens=512", "task.max_tokens"),
    ("task=generate engine.temperature=0.6", "task.temperature"),
    ("task=generate task.num_generations=4", "task.n"),
    ("task=generate task.limit=4", "task.problems"),
    ("task=generate engine.tensor_parallel_size=2", "engine.tensor_parallel"),
    ("task=generate engine.base_url=x", "engine.urls"),
    ("task=filter engine.top_p=0.9", "task.top_p"),
    ("task=filter dataset.n=4", "task.n"),
    ("task=grpo task.max_tokens=512", "trainer.max_completion_length"),
    ("task=grpo trainer.max_tokens=512", "trainer.max_completion_length"),
    ("task=grpo task.n=16", "trainer.num_generations"),
    ("task=grpo trainer.n=16", "trainer.num_generations"),
    ("task=grpo task.learning_rate=1e-6", "trainer.learning_rate"),
    ("task=grpo task.temperature=0.7", "trainer.temperature"),
    ("task=grpo task.epochs=2", "trainer.num_train_epochs"),
    ("task=grpo lr=1e-6", "trainer.learning_rate"),
    ("task=grpo trainer.num_processes=2", "accelerator.processes"),
    ("task=grpo trainer.max_prompt_length=64", "dataset.max_prompt_tokens"),
    ("task=sft trainer.max_tokens=512", "trainer.max_length"),
    ("task=sft task.batch_size=4", "trainer.per_device_train_batch_size"),
    ("task=rft task.max_tokens=512", "model.max_new_tokens"),
    ("task=rft task.num_samples=4", "task.n"),
    ("task=decontaminate dataset.ngram=8", "task.ngram"),
    ("task=decontaminate task.system_prompt=x", "dataset.system_prompt"),
    ("task=rescore completions=x", "task.completions"),
    ("task=report run=x", "task.run"),
    ("task=status run=x", "task.run"),
    ("task=sandbox_server sandbox.port=1", "task.port"),
    ("task=ray engine.port=1", "task.port"),
    ("task=pipeline stages=1", "task.stages"),
    ("task=import_recipe recipe.path=x", "task.path"),
]


@pytest.mark.parametrize(("command", "key"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_what_is_meant(command: str, key: str, r1lab: CommandLine) -> None:
    *_, word = words = command.split()
    (found,) = [item for item in r1lab.all("model=tiny", *words) if item["where"] == f"override {word}"]
    assert found["nearest"] == key


@pytest.mark.parametrize("word", ["task.zzz=1", "task.qqqqq.zzz=1", "reward.accuracy.zzz=1", "engine.zzz=1"])
def test_nothing_is_meant_by_a_word_that_is_like_none(word: str, r1lab: CommandLine) -> None:
    assert "nearest" not in r1lab.one(word)


def test_the_ways_in_which_words_are_alike() -> None:
    known = ["n", "temperature", "max_length"]
    assert [slip(word, known) for word in ("temprature", "max_tokens", "n", "nn")] == ["temperature", "", "n", ""]
    assert [same(word, known) for word in ("samples", "n", "max_tokens", "seq")] == ["n", "n", "", ""]
    assert [other(word, known) for word in ("max_tokens", "n")] == ["max_length", ""]
