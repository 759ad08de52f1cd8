"""A run that was stopped and one that was not end with the same metrics and the same weights, bit by bit."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, SFTConfig

from r1lab.data import arithmetic
from r1lab.data.loading import conversations
from r1lab.rewards.base import Reward
from r1lab.runs.folder import COMPLETE, RunFolder
from r1lab.trainers.grpo import GRPO
from r1lab.trainers.resumable import Resumable
from r1lab.trainers.sft import SFT
from r1lab.trainers.stream import CLOCKS, Stream

pytestmark = pytest.mark.whole

ROWS, EPOCHS = 32, 3


class Moody:
    """A reward with a state: it grows stricter with every call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, completions: list[str]) -> list[float]:
        self.calls += 1
        return [float((len(text) + self.calls) % 3 == 0) + random.random() for text in completions]

    def state_dict(self) -> dict[str, int]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


class StopAt(TrainerCallback):
    """Stops the loop after a step, as a kill would: nothing of the trainer is used again."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step >= self.step


@pytest.fixture
def new_trainer(new_model: Any, tok: Any, settings: Any) -> Callable[..., Resumable]:
    """Makes a trainer that streams what it logs into a folder."""
    rows = arithmetic.rows(arithmetic.problems("train", ROWS, 2, 2, seed=0), 0, 0.0, 0.0)

    def make(kind: str, folder: Path, **changes: Any) -> Resumable:
        random.seed(0)
        common = {
            "output_dir": str(folder / "checkpoints"),
            "num_train_epochs": EPOCHS,
            "gradient_accumulation_steps": 2,
            "logging_steps": 3,
            "seed": 7,
            "save_total_limit": 1,
            "lr_scheduler_type": "cosine",
            **changes,
        }
        if kind == "sft":
            data = conversations(Dataset.from_list(rows))
            args = SFTConfig(**settings(per_device_train_batch_size=2, max_length=64, **common))
            trainer: Resumable = SFT(model=new_model(), args=args, train_dataset=data, processing_class=tok)
        else:
            prompts = [{"prompt": [{"role": "user", "content": row["prompt"]}]} for row in rows]
            moody = Moody()
            args = GRPOConfig(
                **settings(
                    per_device_train_batch_size=8,
                    steps_per_generation=4,
                    num_generations=4,
                    num_iterations=2,
                    max_completion_length=8,
                    **common,
                )
            )
            trainer = GRPO(
                model=new_model(),
                args=args,
                train_dataset=Dataset.from_list(prompts),
                processing_class=tok,
                reward_funcs=[Reward("moody", moody)],
                folder=RunFolder(folder),
                shortcuts=kind == "grpo",
            )
            trainer.stateful = [moody]
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Stream(RunFolder(folder), 0.0))
        return trainer

    return make


def metrics(folder: Path) -> list[dict[str, Any]]:
    """What a run logged, without the clocks."""
    return [
        {key: value for key, value in record.items() if key not in CLOCKS}
        for record in RunFolder(folder).records("metrics.jsonl")
    ]


def completions(folder: Path) -> list[dict[str, Any]]:
    return list(RunFolder(folder).records("completions/train.jsonl"))


# GRPO takes 16 steps an epoch here (4 generations of 4 micro-batches, twice, 2 micro-batches a step), SFT 8.
@pytest.mark.parametrize(
    ("kind", "save_steps", "stop"),
    [("sft", 7, 17), ("sft", 5, 12), ("grpo", 5, 23), ("grpo", 7, 24), ("trl's own grpo", 5, 23)],
)
def test_a_resumed_run_continues_as_the_uninterrupted_one(
    new_trainer: Any, tmp_path: Path, kind: str, save_steps: int, stop: int
) -> None:
    whole = new_trainer(kind, tmp_path / "whole", save_steps=save_steps)
    whole.resume(None)
    first = new_trainer(kind, tmp_path / "parts", save_steps=save_steps)
    first.add_callback(StopAt(stop))
    first.resume(None)
    folder = RunFolder(tmp_path / "parts")
    checkpoint = folder.last_checkpoint()
    per_epoch = 8 if kind == "sft" else 16
    at = stop - stop % save_steps
    assert checkpoint and checkpoint.name == f"checkpoint-{at}" and per_epoch < at < 2 * per_epoch
    folder.rewind(at)
    second = new_trainer(kind, tmp_path / "parts", save_steps=save_steps)
    random.seed(99)  # whatever the dice were, the checkpoint's count
    torch.manual_seed(99)
    second.resume(checkpoint)
    assert whole.state.global_step == second.state.global_step == EPOCHS * per_epoch
    assert len(metrics(tmp_path / "whole")) == EPOCHS * per_epoch // 3
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    assert completions(tmp_path / "parts") == completions(tmp_path / "whole")
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    if kind != "sft":
        assert second.stateful[0].calls == whole.stateful[0].calls == EPOCHS * 4


def test_a_checkpoint_without_its_last_file_is_not_resumed_from(new_trainer: Any, tmp_path: Path) -> None:
    trainer = new_trainer("sft", tmp_path, save_steps=2, max_steps=4, save_total_limit=None)
    trainer.resume(None)
    folder = RunFolder(tmp_path)
    assert folder.last_checkpoint() == tmp_path / "checkpoints/checkpoint-4"
    (tmp_path / "checkpoints/checkpoint-4" / COMPLETE).unlink()
    assert folder.last_checkpoint() == tmp_path / "checkpoints/checkpoint-2"


def test_the_old_checkpoint_stays_until_the_new_one_is_whole(
    new_trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = new_trainer("sft", tmp_path, save_steps=2, max_steps=6)

    def full_at_4(checkpoint: Path) -> Path:
        if checkpoint.name == "checkpoint-4":
            raise OSError(errno.ENOSPC, "No space left on device")
        return checkpoint / "r1lab_0.pt"

    monkeypatch.setattr(trainer, "_state_file", full_at_4)
    with pytest.raises(OSError, match="No space"):
        trainer.resume(None)
    assert RunFolder(tmp_path).last_checkpoint() == tmp_path / "checkpoints/checkpoint-2"
    again = new_trainer("sft", tmp_path, save_steps=2, max_steps=6)
    again.resume(tmp_path / "checkpoints/checkpoint-2")
    assert [path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")] == ["checkpoint-6"]


def test_a_finished_run_is_not_trained_further_but_can_be_made_longer(new_trainer: Any, tmp_path: Path) -> None:
    new_trainer("sft", tmp_path, save_steps=4, max_steps=4).resume(None)
    checkpoint = tmp_path / "checkpoints/checkpoint-4"
    same = new_trainer("sft", tmp_path, save_steps=4, max_steps=4)
    same.resume(checkpoint)
    assert same.state.global_step == 4
    longer = new_trainer("sft", tmp_path, save_steps=4, max_steps=6)
    longer.resume(checkpoint)
    assert longer.state.global_step == 6
