"""task=sft: supervised fine-tuning on worked traces."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from r1lab.data import loading as data
from r1lab.models import loading as models
from r1lab.rewards.base import build_all
from r1lab.runs.folder import RunFolder
from r1lab.tasks.training import arguments, quiet, train
from r1lab.trainers.sft import SFT


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train a model on the dataset's conversations and save it; see `training.train` for what is returned."""
    quiet()
    args = arguments(cfg, folder)
    model, tokenizer = models.load(cfg.model, cfg.accelerator.device)
    splits = data.load(cfg.dataset)
    rows = data.conversations(splits.train)
    trainer = SFT(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
    return train(trainer, cfg, folder, model, tokenizer, splits, build_all(cfg))
