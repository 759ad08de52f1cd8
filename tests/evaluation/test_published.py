"""Published figures as they were published, and the verdict on ours beside them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from r1lab.evaluation.published import AGREES, DIFFERS, NONE, TOO_FEW, beside, figures_of, sizes
from r1lab.evaluation.records import Record
from tests.evaluation.building import SAMPLING, problem, record, sample

MODEL = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
LLAMA = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"


def evaluated(right: list[int], of: int, benchmark: str = "aime24", **made_by: Any) -> Record:
    problems = [problem(str(i), *[sample(float(j < c)) for j in range(of)]) for i, c in enumerate(right)]
    words = {"evaluator": "lighteval", "model": {"repo": MODEL}, "sampling": {**SAMPLING, "samples": of}, **made_by}
    return record(*problems, benchmark=benchmark, made_by=words)


def verdicts(found: Record) -> dict[str, str]:
    return {item.figure.table: item.verdict for item in beside(found)}


@pytest.mark.parametrize(
    "model, benchmark, wanted",
    [
        (MODEL, "aime24", {26.7: 1, 28.9: 64, 30.7: 64}),
        (LLAMA, "aime24", {43.3: 1, 50.4: 64, 43.9: 64, 41.7: 64}),
        (LLAMA, "gpqa-diamond", {52.0: 1, 49.0: 64, 46.7: 8}),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "lcb", {36.6: 1, 37.6: 64, 37.4: 16}),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "math-500", {95.0: 1, 93.9: 64, 94.1: 4}),
        ("open-r1/OpenR1-Distill-7B", "lcb", {39.4: 16}),
        ("Dongwei/Qwen-2.5-7B_Base_Math_smalllr", "math-500", {69.4: None}),
    ],
)
def test_figures_are_the_published_ones(model: str, benchmark: str, wanted: dict[float, int | None]) -> None:
    assert {round(item.value * 100, 1): item.samples for item in figures_of(model, benchmark)} == wanted
    assert all(item.url.startswith("https://") and item.source for item in figures_of(model, benchmark))


def test_one_sample_and_many_samples_stand_apart() -> None:
    tables = [item.table for item in figures_of(MODEL, "aime24")]
    assert tables[0] == "Open-R1, one sample" and "Open-R1, many samples" in tables and len(set(tables)) == len(tables)


def test_the_error_is_that_of_two_samplings_of_the_same_problems() -> None:
    """30 problems at 20 of 64 right, beside 64 samples of theirs: by hand."""
    found = {item.figure.table: item for item in beside(evaluated([20] * 30, 64))}["Open-R1, many samples"]
    within = 20 * 44 / (64 * 63)
    assert found.difference == pytest.approx(20 / 64 - 0.307)
    assert found.error == pytest.approx(math.sqrt(within * (2 / 64) / 30 + 0.001**2 / 12))
    assert found.verdict == AGREES
    assert found.sentence().startswith("Open-R1, many samples 30.7% (64 samples): +0.")
    assert found.sentence().endswith(" points, +0.4 standard errors: agrees")


def test_verdicts() -> None:
    assert verdicts(evaluated([20] * 30, 64))["Open-R1, one sample"] == TOO_FEW  # their single sample is too little
    assert verdicts(evaluated([40] * 30, 64))["Open-R1, many samples"] == DIFFERS
    assert verdicts(evaluated([1] * 9 + [0] * 21, 1))["Open-R1, many samples"] == TOO_FEW
    assert verdicts(evaluated([64] * 30, 64))["Open-R1, one sample"] == DIFFERS
    assert set(verdicts(evaluated([20] * 30, 64)).values()) == {AGREES, TOO_FEW, NONE}


def test_a_verdict_on_a_copy_of_the_data_says_so() -> None:
    found = {i.figure.table: i for i in beside(evaluated([20] * 30, 64, own_data=True))}["Open-R1, many samples"]
    assert found.verdict == AGREES
    assert found.sentence().endswith(": agrees (on a copy of its data, which nobody has compared)")


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"rope": {"factor": 2.0}}, "the model's positions were changed (model.rope)"),
        ({"root": "someone/else"}, "the server says that it serves someone/else"),
        ({"root": MODEL.upper()}, ""),
        ({"root": "/models/r1"}, ""),
    ],
)
def test_another_model_under_the_name_gets_no_verdict(about: dict[str, Any], why: str) -> None:
    record = evaluated([20] * 30, 64, model={"repo": MODEL, **about})
    found = {item.figure.table: item for item in beside(record)}["Open-R1, many samples"]
    assert (found.verdict, found.why) == ((NONE, why) if why else (AGREES, ""))


def test_no_luck_of_few_samples_makes_a_sharp_verdict() -> None:
    """Two samples of each problem, all pairs alike by chance: that is no proof of a model without dice."""
    found = {i.figure.table: i for i in beside(evaluated([2] * 12 + [0] * 18, 2))}["Open-R1, many samples"]
    assert found.error is not None and found.error > 0.025 and found.verdict != AGREES


@pytest.mark.parametrize(
    "changed, why",
    [
        ({"evaluator": "native"}, "their prompts are lighteval's"),
        ({"own_prompt": True}, "the prompt was changed"),
        ({"own_template": True}, "the template was changed"),
        ({"sampling": {**SAMPLING, "temperature": 1.0}}, "temperature 1.0 ≠ 0.6"),
        ({"sampling": {**SAMPLING, "max_tokens": 4096}}, "max_tokens 4096 ≠ 32768"),
    ],
)
def test_no_verdict_where_prompt_or_sampling_differ(changed: dict[str, Any], why: str) -> None:
    found = beside(evaluated([20] * 30, 64, **changed))
    assert {item.verdict for item in found} == {NONE}
    assert why in " ".join(item.why for item in found)


def test_no_verdict_on_a_part_of_the_benchmark_or_on_other_weights() -> None:
    found = beside(evaluated([20] * 10, 64))
    assert {item.verdict for item in found} == {NONE} and any("10 of 30 problems" in item.why for item in found)
    assert beside(evaluated([20] * 30, 64, model={"repo": MODEL, "path": "outputs/grpo/model"})) == []
    assert beside(evaluated([20] * 30, 64, model={"repo": None})) == []


def test_what_deepseek_did_not_publish_gets_no_verdict() -> None:
    assert verdicts(evaluated([20] * 30, 64))["DeepSeek, as of March 2025"] == NONE
    assert sizes()["lcb"] == 268
