"""A task that trains a few steps on fixed rows and fixed completions and keeps what came of it, for each accelerator.

One start of the processes serves all kinds, since the imports cost more than the steps.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from omegaconf import DictConfig
from trl import GRPOConfig, SFTConfig

from r1lab.models.loading import gathered, load_model
from r1lab.models.tokens import load_tokenizer
from r1lab.runs.folder import Onlooker, RunFolder
from r1lab.tasks.quiet import quiet
from r1lab.trainers import ranks
from r1lab.trainers.grpo import GRPO
from r1lab.trainers.sft import SFT
from r1lab.trainers.wrapping import Wrapping, check_world, settings, sharded, start_deepspeed

ROWS, GROUP, BATCH = 32, 4, 16
RATE = 1000.0  # so large that the weights' own rounding is small beside the step
KINDS = {"ddp": ("ddp", 0), "zero1": ("zero", 1), "zero2": ("zero", 2), "zero3": ("zero", 3)}


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train with every kind of `task.kinds`, each with SFT and with GRPO."""
    quiet()
    found = {}
    for name in cfg.task.kinds:
        cfg.accelerator.name = name
        cfg.accelerator.kind, cfg.accelerator.stage = KINDS[name]
        found[name] = {"losses": sft(cfg, folder), "gradients": grpo(cfg, folder)}
        gc.collect()
    if ranks.rank() == 0:
        torch.save(found, folder.path / "found.pt")
    return {}


def common(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Fields of both trainers' configs: the same global batch, whatever the number of processes."""
    processes = cfg.accelerator.processes
    return {
        **settings(cfg),
        "output_dir": str(folder.path / "checkpoints"),
        "per_device_train_batch_size": BATCH // processes,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "lr_scheduler_type": "constant",
        "seed": 3,
    }


def model_of(cfg: DictConfig, args: Any) -> tuple[Any, Any]:
    if cfg.accelerator.kind == "zero":
        start_deepspeed()
    check_world(cfg, args)
    with ranks.first():
        tok = load_tokenizer(cfg.model)
    return load_model(cfg.model, "cpu", tok, move=not sharded(cfg.accelerator)), tok


def sft(cfg: DictConfig, folder: RunFolder) -> list[float]:
    """The losses of five steps."""
    args = SFTConfig(**common(cfg, folder), max_steps=5, learning_rate=1e-3, max_length=64)
    model, tok = model_of(cfg, args)
    rows = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": f"What is {i}?"}],
                "completion": [{"role": "assistant", "content": f"{i * 37 % 101} " * (1 + i % 5)}],
            }
            for i in range(ROWS * 4)
        ]
    )
    trainer = SFT(model=model, args=args, train_dataset=rows, processing_class=tok)
    trainer.add_callback(Wrapping(trainer, cfg.accelerator))
    trainer.train()
    return [record["loss"] for record in trainer.state.log_history if "loss" in record]


class Fixed(GRPO):
    """GRPO whose completions depend on the prompt and the place in its group alone."""

    def _generate_single_turn(self, prompt_ids: Sequence[list[int]], *_: Any, **__: Any) -> tuple[Any, None]:
        seen: dict[tuple[int, ...], int] = {}
        completions = []
        for ids in prompt_ids:
            place = seen[tuple(ids)] = seen.get(tuple(ids), -1) + 1
            dice = torch.Generator().manual_seed(sum(ids) * 31 + place)
            length = 3 + int(torch.randint(9, (1,), generator=dice))
            tokens = torch.randint(10, 250, (length,), generator=dice).tolist()
            completions.append([*tokens, self.eos_token_ids[0]])
        return completions, None


def judged(completions: Sequence[Any], **_: Any) -> list[float]:
    """A mark that tells the completions of a group apart, and that a few of the groups do not earn."""
    return [float(len(item[0]["content"].encode()) % 5) for item in completions]


def grpo(cfg: DictConfig, folder: RunFolder) -> dict[str, torch.Tensor]:
    """The gradients of two accumulated passes: what one step of plain gradient descent takes away, by its rate."""
    values = common(cfg, folder) | {"per_device_train_batch_size": BATCH // cfg.accelerator.processes // 2}
    args = GRPOConfig(
        **values,
        max_steps=1,
        learning_rate=RATE,
        optim="sgd",
        max_grad_norm=0.0,
        gradient_accumulation_steps=2,
        num_generations=GROUP,
        max_completion_length=12,
        loss_type="dapo",
        beta=0.0,
    )
    model, tok = model_of(cfg, args)
    before = weights(model)
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": f"What is {i}?"}]} for i in range(ROWS)])
    kept = (Onlooker if ranks.rank() else RunFolder)(Path(folder.path) / "kept")
    trainer = Fixed(
        model=model,
        args=args,
        train_dataset=rows,
        processing_class=tok,
        reward_funcs=[judged],
        folder=kept,
    )
    trainer.add_callback(Wrapping(trainer, cfg.accelerator))
    trainer.train()
    after = weights(trainer.accelerator.unwrap_model(trainer.model))
    return {name: (before[name] - after[name]) / RATE for name in before}


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All weights of a model, those that are spread gathered."""
    found = {}
    for name, weight in model.named_parameters():
        with gathered(weight):
            found[name] = weight.detach().clone()
    return found
