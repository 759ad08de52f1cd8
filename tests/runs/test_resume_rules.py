"""What two configs differ in, and which differences a resumed run may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from r1lab.runs.resume import check_resume, differences, flatten

OLD = {
    "name": "x",
    "seed": 42,
    "outputs": "outputs",
    "accelerator": {"name": "auto", "device": "cpu"},
    "trainer": {"max_steps": 40, "beta": 0.0, "dataloader_pin_memory": False},
    "task": {"name": "grpo", "k": [1, 8]},
    "benchmark": {"lcb": {"samples": 16, "k": [1]}},
}
trees = st.recursive(
    st.integers() | st.none() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3),
    max_leaves=8,
)


def changed(**keys: Any) -> Any:
    new = OmegaConf.create(OLD)
    for key, value in keys.items():
        OmegaConf.update(new, key.replace("__", "."), value, force_add=True)
    return new


def findings(new: Any, old: Any = OLD) -> list[str]:
    return [item.what for item in check_resume(OmegaConf.create(old), new, "run")]


@given(st.dictionaries(st.sampled_from("abcd"), trees, min_size=1))
def test_flattening_keeps_every_leaf(tree: dict[str, Any]) -> None:
    flat = flatten(tree)
    for key, value in flat.items():
        node: Any = tree
        for part in key.split("."):
            node = node[part]
        assert node == value
        assert not isinstance(value, dict) or value == {}
    leaves = sum(1 for _ in leaves_of(tree))
    assert len(flat) == leaves


def leaves_of(node: Any) -> Any:
    if isinstance(node, dict):
        for item in node.values():
            yield from leaves_of(item)
    else:
        yield node


@given(trees, trees)
def test_differences_are_symmetric_and_complete(a: Any, b: Any) -> None:
    first, second = OmegaConf.create({"x": a}), OmegaConf.create({"x": b})
    found = differences(first, second)
    kept = [{key: value for key, value in flatten({"x": tree}).items() if value is not None} for tree in (a, b)]
    assert (found == {}) == (kept[0] == kept[1])  # what is null and what is not there are the same
    assert {key: values[::-1] for key, values in differences(second, first).items()} == found


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"accelerator__device": "cuda", "accelerator__threads": 4},
        {"outputs": "elsewhere"},
        {"debug": True},
        {"dry_run": "json"},
        {"resume": "run"},
        {"trainer__max_steps": 80},
        {"trainer__dataloader_pin_memory": True},
        {"trainer__gradient_checkpointing": True},
        {"reward__code__sandbox__workers": 2, "reward__code__max_failures": 1.0},
        {"benchmark__lcb__scorer__sandbox__workers": 2, "benchmark__lcb__scorer__max_failures": 1.0},
        {"evaluator__python": "elsewhere/bin/python"},
        {"benchmark__lcb__samples": 32},
    ],
)
def test_what_does_not_make_it_a_different_run(keys: dict[str, Any]) -> None:
    assert findings(changed(**keys)) == []


def test_everything_else_does() -> None:
    assert findings(changed(seed=43, trainer__beta=0.1, task__k=[1], trainer__top_k=5)) == [
        "run holds a different run:\n    seed: 42 there, 43 here\n    trainer.beta: 0.0 there, 0.1 here\n"
        "    task.k: [1, 8] there, [1] here\n    trainer.top_k: not set there, 5 here"
    ]


@pytest.mark.parametrize("steps", [39, 1])
def test_a_run_is_not_made_shorter(steps: int) -> None:
    finding = check_resume(OmegaConf.create(OLD), changed(trainer__max_steps=steps), "run")[0]
    assert finding.what == "trainer.max_steps was 40 in run; a resumed run can only be longer"
    assert finding.fix == "trainer.max_steps=40 or more"


def test_steps_and_epochs_are_not_exchanged() -> None:
    epochs = {**OLD, "trainer": {**OLD["trainer"], "max_steps": -1, "num_train_epochs": 1}}  # type: ignore[dict-item]
    longer = OmegaConf.create({**epochs, "trainer": {**epochs["trainer"], "num_train_epochs": 2}})
    assert findings(longer, epochs) == []
    limited = OmegaConf.create({**epochs, "trainer": {**epochs["trainer"], "max_steps": 10}})
    assert findings(limited, epochs) == ["run holds a different run:\n    trainer.max_steps: -1 there, 10 here"]


def test_where_each_difference_was_said() -> None:
    found = check_resume(
        OmegaConf.create(OLD),
        changed(seed=43, name="y"),
        "run",
        {"seed": "override seed=43", "name": "name"}.__getitem__,
    )
    assert [item.where for item in found] == ["override seed=43"]


def test_of_a_benchmark_only_more_samples_and_the_place_change_nothing() -> None:
    keys = {"benchmark__lcb__scorer__seconds": 9, "benchmark__lcb__sandbox": "x", "evaluator__prompts": "benchmark"}
    (said,) = findings(changed(**keys))
    assert said.splitlines()[1:] == [
        "    benchmark.lcb.scorer.seconds: not set there, 9 here",
        "    benchmark.lcb.sandbox: not set there, x here",
        "    evaluator.prompts: not set there, benchmark here",
    ]
    fewer = "benchmark.lcb.samples was 16 in run; a resumed run can only be longer"
    assert findings(changed(benchmark__lcb__samples=8)) == [fewer]
