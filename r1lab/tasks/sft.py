"""task=sft: supervised fine-tuning on worked traces."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from r1lab.data import lengths
from r1lab.data import loading as data
from r1lab.errors import UserError
from r1lab.models.adapters import peft_config
from r1lab.runs.folder import RunFolder
from r1lab.tasks.quiet import quiet
from r1lab.tasks.training import arguments, parts, train
from r1lab.terminal import lengthy
from r1lab.trainers.sft import SFT
from r1lab.wording import plural


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train a model on the dataset's conversations and save it; see `training.train` for what is returned."""
    quiet()
    args = arguments(cfg, folder)
    model, tokenizer, splits, rewards = parts(cfg, "sft")
    form = "whole" if args.assistant_only_loss else "split"
    rows = data.conversations(splits.train, "text" if cfg.dataset.text and not cfg.dataset.messages else form)
    carried_over = args.packing and args.packing_strategy != "bfd"
    with lengthy(f"counting the tokens of {plural(len(rows), 'conversation')}"):
        rows = lengths.fit_conversations(rows, tokenizer, args.max_length, cfg.dataset, carried_over)
    adapter = peft_config(cfg, tokenizer)
    try:
        with lengthy(f"tokenizing {plural(len(rows), 'conversation')}"):
            trainer = SFT(model=model, args=args, train_dataset=rows, processing_class=tokenizer, peft_config=adapter)
    except ValueError as error:
        raise UserError(f"trl refuses the rows or the settings: {error}") from error
    return train(trainer, cfg, folder, model, tokenizer, splits, rewards)
