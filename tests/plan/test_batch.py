"""The arithmetic of a batch against brute force."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from r1lab.plan.batch import Batch, batch_of, check_batch, nearest_divisors, nearest_multiples
from r1lab.plan.checks import steps_of

numbers = st.integers(1, 200)


def config(target: str = "trl.GRPOConfig", processes: int = 1, wanted: int | None = None, **trainer: Any) -> Any:
    return OmegaConf.create(
        {
            "global_batch_size": wanted,
            "accelerator": {"processes": processes},
            "dataset": {"train": 1000},
            "trainer": {"_target_": target, **trainer},
        }
    )


def values(text: str) -> list[int]:
    return [int(item) for item in text.split(" or ")] if text else []


@given(st.integers(-50, 400), numbers)
def test_nearest_multiples(value: int, unit: int) -> None:
    found = values(nearest_multiples(value, unit))
    multiples = [unit * n for n in range(1, 402)]
    closest = min(abs(item - value) for item in multiples)
    assert all(item in multiples for item in found)
    assert min(abs(item - value) for item in found) == closest
    assert found == sorted(set(found))
    assert not any(min(found) < item < max(found) for item in multiples)


@given(numbers, numbers)
def test_nearest_divisors(value: int, total: int) -> None:
    found = values(nearest_divisors(value, total))
    divisors = [item for item in range(2, total + 1) if total % item == 0 and item != value]
    assert all(item in divisors for item in found)
    if divisors:
        assert min(abs(item - value) for item in found) == min(abs(item - value) for item in divisors)
    else:
        assert found == []


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(2, 16))
def test_a_grpo_batch(per_device: int, processes: int, accumulation: int, steps: int, generations: int) -> None:
    cfg = config(
        processes=processes,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=accumulation,
        steps_per_generation=steps,
        num_generations=generations,
    )
    batch = batch_of(cfg)
    assert batch == Batch(per_device, processes, accumulation, steps, generations)
    sampled = [(rank, step, item) for rank in range(processes) for step in range(steps) for item in range(per_device)]
    assert batch.completions_per_generation == len(sampled)
    assert batch.examples == per_device * processes * accumulation
    whole = len(sampled) % generations == 0
    findings = check_batch(cfg, lambda key: key)
    assert (findings == []) == whole
    if whole:
        assert batch.prompts_per_generation * generations == len(sampled)
    else:
        assert findings[0].where == "trainer.num_generations"
        for group in values(findings[0].nearest.removeprefix("trainer.num_generations=")):
            cfg.trainer.num_generations = group
            assert check_batch(cfg, lambda key: key) == []


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 2000))
def test_a_global_batch_size(per_device: int, processes: int, wanted: int) -> None:
    cfg = config("trl.SFTConfig", processes, wanted, per_device_train_batch_size=per_device)
    findings = check_batch(cfg, lambda key: key)
    fits = any(per_device * processes * accumulation == wanted for accumulation in range(1, wanted + 1))
    assert (findings == []) == fits
    if fits:
        assert batch_of(cfg).examples == wanted
    else:
        for close in values(findings[0].nearest.removeprefix("global_batch_size=")):
            cfg.global_batch_size = close
            assert check_batch(cfg, lambda key: key) == []
            assert batch_of(cfg).examples == close


def test_what_trl_fills_in() -> None:
    assert batch_of(config()) == Batch(8, 1, 1, 1, 8)
    assert batch_of(config(gradient_accumulation_steps=4)).steps_per_generation == 4
    assert batch_of(config(generation_batch_size=64)).steps_per_generation == 8
    assert batch_of(config("trl.SFTConfig")) == Batch(8, 1, 1)
    assert batch_of(config("trl.SFTConfig")).prompts_per_generation == 0


@pytest.mark.parametrize(
    ("trainer", "what"),
    [
        ({"per_device_train_batch_size": 0}, "trainer.per_device_train_batch_size is 0"),
        ({"gradient_accumulation_steps": -1}, "trainer.gradient_accumulation_steps is -1"),
        ({"num_generations": 1}, "trainer.num_generations is 1; a group needs at least 2 to compare"),
        (
            {"generation_batch_size": 64, "steps_per_generation": 8},
            "trainer.generation_batch_size and trainer.steps_per_generation say the same thing twice",
        ),
        ({"generation_batch_size": 60}, "trainer.generation_batch_size=60 is not a multiple of 8"),
    ],
)
def test_what_does_not_divide(trainer: dict[str, int], what: str) -> None:
    findings = check_batch(config(**trainer), lambda key: key)
    assert what in [finding.what for finding in findings]


@pytest.mark.parametrize(
    ("cfg", "steps"),
    [
        (config(max_steps=7), 7),
        (config("trl.SFTConfig", num_train_epochs=2), 250),
        (config("trl.SFTConfig", max_steps=-1, num_train_epochs=1), 125),
        (config(num_train_epochs=1), 1000),
        (config(num_train_epochs=1, num_iterations=2), 2000),
    ],
)
def test_steps_of_a_run(cfg: Any, steps: int) -> None:
    assert steps_of(cfg) == steps
    cfg.dataset.train = "train"
    assert steps_of(cfg) == (steps if cfg.trainer.get("max_steps", -1) > 0 else None)
