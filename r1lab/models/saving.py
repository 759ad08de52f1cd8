"""What a training leaves behind: the model or its adapter, ready to be loaded, with its tokenizer and its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict
from transformers import PreTrainedTokenizerBase, Trainer
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from r1lab.models.card import card
from r1lab.models.loading import load_model
from r1lab.runs.folder import write_atomic
from r1lab.terminal import lengthy
from r1lab.wording import display


def save(
    trainer: Trainer, cfg: DictConfig, target: Path, tok: PreTrainedTokenizerBase, metrics: Mapping[str, Any]
) -> None:
    """Save what was trained into `target`, with the template, the ends of generation and a model card.

    A run with an adapter keeps the adapter beside it, in `adapter/`, and merges it into the model it was trained on,
    loaded anew without quantisation; with `adapter.merge=false` the adapter alone is in `target`.

    Args:
        trainer: the trainer at its end.
        cfg: the resolved run.
        target: the folder of the model.
        tok: the tokenizer.
        metrics: the run's final metrics, for the card.
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    model.config.use_cache = True  # training with gradient checkpoints turns it off
    merging = bool(cfg.adapter.get("_target_")) and cfg.adapter.merge
    folder = target.with_name("adapter") if merging else target
    with lengthy(f"saving the model into {display(folder)}"):
        trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return
    (folder / "training_args.bin").unlink(missing_ok=True)  # run.yaml says it all, and no token is in that
    write_atomic(folder / "README.md", card(cfg, metrics, adapter=bool(cfg.adapter.get("_target_"))))
    if not cfg.adapter.get("_target_"):
        return
    model.generation_config.save_pretrained(folder)
    if merging:
        unset_hf_deepspeed_config()  # else ZeRO-3 would wait for the other processes to load their part
        again = cfg.model.copy()
        with open_dict(again):
            again.path, again.attention, again.kernels = str(folder), "sdpa", False
        with lengthy(f"merging the adapter into the model, in {display(target)}"):
            load_model(again, "cpu", tok).save_pretrained(target)
        tok.save_pretrained(target)
        write_atomic(target / "README.md", card(cfg, metrics))
