"""The main job for real, in short form: the true base, one seed, fewer steps. `make drill` runs the whole of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1lab.notebook import compose, run
from tests.drill.kills import drill

pytestmark = pytest.mark.whole

STEPS = 60


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The metrics of one short run; the base is built by it and kept for the tests that follow."""
    folder = tmp_path_factory.mktemp("main") / "run"
    return run(compose(f"trainer.max_steps={STEPS}", "accelerator=cpu"), folder)


def records(metrics: dict[str, Any], stream: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(metrics["folder"], stream).read_text().splitlines()]


def test_accuracy_rises_by_30_points(main_job: dict[str, Any]) -> None:
    evaluations = {item["step"]: item for item in records(main_job, "metrics.jsonl") if "eval/accuracy" in item}
    assert list(evaluations) == [0, 12, 24, 36, 48, STEPS]
    assert evaluations[STEPS]["eval/accuracy"] - evaluations[0]["eval/accuracy"] >= 0.30
    assert main_job["eval/accuracy"] == evaluations[STEPS]["eval/accuracy"]
    assert main_job["eval/accuracy_before"] == evaluations[0]["eval/accuracy"]


def test_the_style_of_the_traces_stays_and_the_habit_goes(main_job: dict[str, Any]) -> None:
    assert min(main_job["eval/traces_before"], main_job["eval/traces"]) > 0.95
    assert main_job["eval/carries_kept_before"] < 0.2
    assert main_job["eval/carries_kept"] > 0.8
    assert main_job["eval/columns_right_before"] > 0.9


def test_accuracy_is_recomputed_from_the_kept_completions(main_job: dict[str, Any]) -> None:
    kept = records(main_job, "completions/eval.jsonl")
    assert {record["step"] for record in kept} == {0, 12, 24, 36, 48, STEPS}
    for record in kept:
        a, b = (int(number) for number in record["prompt"].removeprefix("What is ").rstrip("?").split(" + "))
        answer = record["completion"].partition("<answer>\n")[2].partition("\n</answer>")[0]
        assert record["solution"] == str(a + b)
        assert record["rewards"]["accuracy"] == float(answer.strip() == str(a + b))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("grpo", ["trainer.max_steps=16", "trainer.save_steps=3", "eval.problems=20"]),
        ("sft", ["trainer.max_steps=16", "trainer.save_steps=3", "eval.problems=20", "dataset.train=512"]),
    ],
)
def test_a_killed_run_ends_as_the_one_left_alone(
    main_job: dict[str, Any], task: str, words: list[str], tmp_path: Path
) -> None:
    result = drill(task, tmp_path, ["accelerator=cpu", *words], kills=2, seed=1)
    assert result["kills"] == 2
