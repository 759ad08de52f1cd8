"""When evaluations are due, what they are called, and that training does not notice them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from omegaconf import OmegaConf
from transformers import TrainerControl, TrainerState

from r1lab.data import arithmetic
from r1lab.engines.transformers import TransformersEngine
from r1lab.rewards import load
from r1lab.runs.folder import RunFolder
from r1lab.trainers.evaluator import KEPT, Evaluator, before
from r1lab.trainers.stream import Stream

CFG = {"problems": 6, "every": 0.25, "temperature": 1.0, "top_p": 1.0, "top_k": None, "max_tokens": 5}
CONTROL = TrainerControl()


@pytest.fixture
def new(tmp_path: Path, new_model: Any, tok: Any) -> Any:
    """Makes an evaluator on an untrained model."""

    def make(coin: float = 1.0, **changes: Any) -> Evaluator:
        folder = RunFolder(tmp_path)
        rows = Dataset.from_list(arithmetic.rows(arithmetic.problems("test", 8, 2, 2, 0), 0, 0.0, 0.0))
        rows = rows.map(lambda row: {"prompt": row["messages"][:1]}, remove_columns=["messages", "prompt"])
        model = new_model()
        return Evaluator(
            TransformersEngine(model.train(), tok, 4),
            rows,
            [load("accuracy"), load("coin_flip", p=coin)],
            OmegaConf.create({**CFG, **changes}),
            3,
            folder,
            Stream(folder, 0.0),
            arithmetic.diagnose,
        )

    return make


@pytest.mark.parametrize(
    ("every", "last", "steps"),
    [
        (0.25, 20, [5, 10, 15]),
        (0.25, 10, [3, 5, 8]),
        (0.1, 10, list(range(1, 10))),  # 0.3 / 0.1 is a little less than 3
        (0.1, 30, list(range(3, 30, 3))),
        (0.5, 3, [2]),
        (0.01, 3, [1, 2]),
        (0.3, 100, [30, 60, 90]),
        (1.0, 10, []),
        (2.0, 10, []),
        (0.0, 10, []),
        (0.25, 1, []),
    ],
)
def test_due_divides_the_run_into_shares(new: Any, every: float, last: int, steps: list[int]) -> None:
    evaluator = new(every=every)
    assert [step for step in range(1, last + 1) if evaluator.due(step, last)] == steps


def test_evaluations_before_along_and_after(new: Any, tmp_path: Path) -> None:
    evaluator = new()
    state = TrainerState(global_step=0, max_steps=8)
    evaluator.on_train_begin(None, state, CONTROL)
    for state.global_step in range(1, 9):
        evaluator.on_step_end(None, state, CONTROL)
    evaluator.on_train_end(None, state, CONTROL)
    evaluator.on_train_end(None, state, CONTROL)  # a step is evaluated once
    folder = RunFolder(tmp_path)
    streamed = list(folder.records("metrics.jsonl"))
    assert [record["step"] for record in streamed] == [0, 2, 4, 6, 8]
    assert all(record["eval/coin_flip"] == 1.0 and record["eval/length"] <= 5 for record in streamed)
    assert "eval/traces" in streamed[0]
    kept = list(folder.records("completions/eval.jsonl"))
    assert len(kept) == 5 * 6 and KEPT > 6 and {record["step"] for record in kept} == {0, 2, 4, 6, 8}


def test_the_model_and_the_dice_are_left_as_they_were(new: Any) -> None:
    evaluator = new(coin=0.5, problems=8)
    torch.manual_seed(1)
    random.seed(1)
    dice = torch.get_rng_state(), random.getstate()
    evaluator.evaluate(1)
    evaluator.evaluate(2)
    assert torch.equal(torch.get_rng_state(), dice[0]) and random.getstate() == dice[1]
    assert evaluator.engine.model.training
    first, second = ({k: v for k, v in evaluator.results[step].items() if k != "time"} for step in (1, 2))
    assert first == second and 0.0 < first["eval/coin_flip"] < 1.0


def test_a_resumed_run_does_not_evaluate_twice(new: Any, tmp_path: Path) -> None:
    new().evaluate(4)
    again = new()
    again.evaluate(4)
    assert len(list(RunFolder(tmp_path).records("metrics.jsonl"))) == 1
    assert again.before_and_after() == new().before_and_after() != {}


def test_names_before_and_after(new: Any) -> None:
    assert before("eval/accuracy") == "eval/accuracy_before"
    assert before("eval/accuracy_low") == "eval/accuracy_before_low"
    assert before("eval/accuracy_high") == "eval/accuracy_before_high"
    evaluator = new()
    assert evaluator.before_and_after() == {}
    evaluator.results = {0: {"eval/a": 1.0, "step": 0}}
    assert evaluator.before_and_after() == {"eval/a": 1.0}
    evaluator.results = {
        0: {"eval/a": 1.0, "eval/a_low": 0.5},
        8: {"eval/a": 3.0, "eval/a_low": 2.5},
        4: {"eval/a": 2.0},
    }
    assert evaluator.before_and_after() == {
        "eval/a": 3.0,
        "eval/a_low": 2.5,
        "eval/a_before": 1.0,
        "eval/a_before_low": 0.5,
    }


def test_no_problems_no_evaluation(new: Any, tmp_path: Path) -> None:
    evaluator = new(problems=0)
    evaluator.evaluate(0)
    assert evaluator.results == {} and not (tmp_path / "metrics.jsonl").exists()
