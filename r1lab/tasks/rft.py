"""task=rft: rejection-sampled fine-tuning (Yuan et al. 2023, arXiv 2308.01825), the cheap alternative to compare with.

One round: sample completions of the training problems from the model as it is, keep those that the first reward gives
full marks, fine-tune on them.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from datasets import Dataset
from omegaconf import DictConfig

from r1lab.data import lengths
from r1lab.engines.base import Sampling
from r1lab.engines.transformers import TransformersEngine
from r1lab.errors import DataError
from r1lab.evaluation.sampling import sample_and_score
from r1lab.evaluation.shards import Shard
from r1lab.models.adapters import peft_config
from r1lab.runs.folder import RunFolder
from r1lab.tasks.quiet import quiet
from r1lab.tasks.training import arguments, parts, train
from r1lab.trainers.ranks import gather, meet, rank, share, world
from r1lab.trainers.sft import SFT
from r1lab.trainers.wrapping import sharded

log = logging.getLogger("r1lab")
KEPT = "kept.jsonl"


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Sample, keep what is right, fine-tune on it and save; adds `sampled` and `kept` to `training.train`'s metrics.

    Raises:
        DataError: nothing that was sampled is right.
    """
    quiet()
    args = arguments(cfg, folder)
    model, tokenizer, splits, rewards = parts(cfg)
    context = getattr(model.config, "max_position_embeddings", None)
    new_tokens = (cfg.model.max_new_tokens, cfg.eval.max_tokens if cfg.eval.problems else 0)
    splits = lengths.fit_prompts(splits, tokenizer, context, new_tokens, cfg.dataset)
    if not share((folder.path / KEPT).is_file()):  # a resumed run fine-tunes on what the first one kept
        dice = cfg.seed + rank() * 2**32
        sampling = Sampling(cfg.task.n, cfg.task.temperature, max_tokens=cfg.model.max_new_tokens, seed=dice)
        rows = splits.train.select(range(min(cfg.task.problems, len(splits.train))))
        shortcuts = cfg.engine.shortcuts and not sharded(cfg.accelerator)
        engine = TransformersEngine(model, tokenizer, cfg.eval.batch, shortcuts)
        mine = rows.select(range(rank(), len(rows), world()))
        sampled = sample_and_score(Shard(engine, rows, world()), mine, rewards[:1], sampling)
        kept = [
            {"prompt": row["prompt"], "completion": [{"role": "assistant", "content": completion.text}]}
            for row, completions, scores in zip(
                mine, sampled.completions, sampled.scores[rewards[0].__name__], strict=True
            )
            for completion, score in zip(completions, scores, strict=True)
            if score is not None and score >= cfg.task.keep and completion.finish == "stop"
        ]
        every = gather(kept)
        if rank() == 0:
            folder.rewrite(KEPT, every)
        meet()
    kept = [json.loads(line) for line in (folder.path / KEPT).read_text(encoding="utf-8").splitlines()]
    tried = min(cfg.task.problems, len(splits.train)) * cfg.task.n
    log.info("rft kept %d of %d completions", len(kept), tried)
    if not kept:
        raise DataError(
            f"none of {tried} completions reached {rewards[0].__name__} ≥ {cfg.task.keep}: nothing to learn"
        )
    trainer = SFT(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(kept),
        processing_class=tokenizer,
        peft_config=peft_config(cfg, tokenizer),
    )
    metrics = train(trainer, cfg, folder, model, tokenizer, splits, rewards)
    return {**metrics, "sampled": tried, "kept": len(kept)}
