"""task=sft: supervised fine-tuning on worked traces."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from r1lab.data.loading import conversations
from r1lab.models.adapters import peft_config
from r1lab.runs.folder import RunFolder
from r1lab.tasks.training import arguments, parts, quiet, train
from r1lab.trainers.sft import SFT


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train a model on the dataset's conversations and save it; see `training.train` for what is returned."""
    quiet()
    args = arguments(cfg, folder)
    model, tokenizer, splits, rewards = parts(cfg)
    trainer = SFT(
        model=model,
        args=args,
        train_dataset=conversations(splits.train),
        processing_class=tokenizer,
        peft_config=peft_config(cfg, tokenizer),
    )
    return train(trainer, cfg, folder, model, tokenizer, splits, rewards)
