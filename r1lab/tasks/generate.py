"""task=generate: sample completions of the training problems, score them, and keep them as rows to train on."""

from __future__ import annotations

import time
from typing import Any

from omegaconf import DictConfig

from r1lab.data import lengths
from r1lab.data import loading as data
from r1lab.engines.base import Sampling
from r1lab.engines.transformers import TransformersEngine
from r1lab.evaluation.sampling import sample_and_score, summary
from r1lab.models import loading as models
from r1lab.rewards.base import build_all
from r1lab.runs.folder import RunFolder, dumps, write_atomic
from r1lab.tasks.training import quiet
from r1lab.trainers.progress import Counter

SHOWN = 40  # completions on the run's page


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Generate `task.n` completions for each of `task.problems` problems.

    Leaves `generated.jsonl` in the run's folder: one row per completion with `messages`, `prompt`, `solution` and every
    reward, ready for `dataset=local dataset.path=…/generated.jsonl dataset.messages=messages`.
    """
    quiet()
    model, tokenizer = models.load(cfg.model, cfg.accelerator.device)
    context = getattr(model.config, "max_position_embeddings", None)
    splits = lengths.fit_prompts(data.load(cfg.dataset), tokenizer, context, (cfg.eval.max_tokens, 0), cfg.dataset)
    rows = splits.train.select(range(min(cfg.task.problems, len(splits.train))))
    rewards = build_all(cfg)
    data.require(splits, rewards, cfg.dataset.name)
    sampling = Sampling(cfg.task.n, cfg.task.temperature, max_tokens=cfg.eval.max_tokens, seed=cfg.seed)
    began = time.monotonic()
    with Counter("generate", len(rows) * cfg.task.n) as counter:
        engine = TransformersEngine(model, tokenizer, cfg.eval.batch, cfg.engine.shortcuts)
        sampled = sample_and_score(engine, rows, rewards, sampling, counter)
    records = sampled.records(0)
    lines = []
    for record in records:
        conversation = rows[record["problem"]]["prompt"]
        answer = {"role": "assistant", "content": record["completion"]}
        lines.append(dumps({**record, "messages": [*conversation, answer]}) + "\n")
    write_atomic(folder.path / "generated.jsonl", "".join(lines))
    write_atomic(folder.path / "completions/eval.jsonl", "".join(dumps(item) + "\n" for item in records[:SHOWN]))
    seconds = round(time.monotonic() - began, 2)
    metrics = summary(sampled, prefix="generate")
    tokens = sum(record["tokens"] for record in records)
    return {**metrics, "rows": len(records), "seconds": seconds, "tokens": tokens}
