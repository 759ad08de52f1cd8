"""Arithmetic and hours against published figures, and the split of GPUs against brute force."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.plan.devices import GPUS
from r1lab.plan.duration import Duration, flops_per_token, gpus_for_generation, step_seconds
from r1lab.plan.parameters import Shape

SEVEN = Shape(28, 3584, 18944, 28, 4, 152064, 128, False)


def test_arithmetic_is_that_of_gpt_3() -> None:
    """Brown et al. 2020, table D.1: 3.14e23 operations for 300 billion tokens of 174.6 billion parameters.

    The paper leaves attention out and counts 6 a parameter; at 2,048 tokens attention adds 2 to 3 %.
    """
    shape = Shape(96, 12288, 49152, 96, 96, 50257, 128, True, given=174_600_000_000)
    shape = Shape(**{**shape.__dict__, "intermediate": 32768})  # as many weights in three matrices as GPT-3 has in two
    total = flops_per_token(shape, 2048) * 300e9
    assert total == pytest.approx(3.14e23, rel=0.06)


def test_a_training_step() -> None:
    """6 operations a parameter and token, at 40 % of 989 TFLOP/s: 1,000 tokens through 7.07 billion take 107 ms."""
    duration = step_seconds(SEVEN, GPUS["h100"], 1000, 0, passes=3)
    active = SEVEN.total - SEVEN.embedding
    assert duration.training == pytest.approx(1000 * 6 * active / (0.4 * 989e12))
    assert duration.sampling == 0
    checkpointed = step_seconds(SEVEN, GPUS["h100"], 1000, 0, passes=4)
    assert checkpointed.training == pytest.approx(duration.training * 4 / 3)


def test_sampling_reads_the_weights_once_a_token() -> None:
    """One completion of 100 tokens: 100 times 15.2 GB at half of 3.35 TB/s."""
    duration = step_seconds(SEVEN, GPUS["h100"], 1, 100, 3, completions=1, together=1)
    assert duration.sampling == pytest.approx(100 * 2 * SEVEN.total / (0.5 * 3.35e12), rel=0.01)
    many = step_seconds(SEVEN, GPUS["h100"], 1, 100, 3, completions=64, together=64)
    assert many.sampling < 1.1 * duration.sampling


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.integers(2, 64))
def test_the_split_is_the_fastest(sampling: float, training: float, gpus: int) -> None:
    def seconds(share: int) -> float:
        return sampling / share + training / (gpus - share)

    chosen = gpus_for_generation(Duration(training, sampling), gpus, heads=28)
    best = min(range(1, gpus), key=seconds)
    assert abs(chosen - best) <= 1
    assert seconds(chosen) <= seconds(best) * 1.35


def test_the_split_keeps_to_tensor_parallel_sizes() -> None:
    assert gpus_for_generation(Duration(1.0, 1.0), 8, heads=28, tensor=4) == 4
    assert gpus_for_generation(Duration(1.0, 1.0), 8, heads=28, tensor=3) == 0  # 3 does not divide 28 heads
    assert gpus_for_generation(Duration(1.0, 0.0), 8, heads=28) == 0
    assert gpus_for_generation(Duration(1.0, 1.0), 1, heads=28) == 0


def test_hours_are_a_lower_bound() -> None:
    """SimpleRL (OPEN-R1): 7,500 problems × 7 completions of up to 1,024 tokens took about 3 hours on 8 H100.

    Ours assumes kernels at their usual speed and no waiting for rewards or weights: less, but not a tenth.
    """
    tokens, steps = 16 * 8 * 7 * (256 + 512), math.ceil(7500 * 7 / (16 * 8 * 7))
    duration = step_seconds(SEVEN, GPUS["h100"], tokens, 768, passes=5, completions=896, together=256)
    hours = steps * (duration.training / 7 + duration.sampling) / 3600
    assert 0.3 < hours < 3
