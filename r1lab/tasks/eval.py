"""task=eval: n samples per held-out problem; pass@1, pass@k and maj@k, each with a 95 % interval over problems."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets import Dataset
from omegaconf import DictConfig

from r1lab.data import loading as data
from r1lab.engines.base import Completion, Engine, Sampling
from r1lab.engines.transformers import TransformersEngine
from r1lab.errors import DataError, EngineError
from r1lab.evaluation.metrics import estimate, majority_at_k, pass_at_k
from r1lab.evaluation.sampling import Sampled, score, summary
from r1lab.generation.engines import ready
from r1lab.models import loading as models
from r1lab.rewards.answers import final_answer
from r1lab.rewards.base import build_all
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder, dumps, write_atomic
from r1lab.tasks.quiet import quiet
from r1lab.tasks.training import diagnosis
from r1lab.trainers.progress import Counter


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Evaluate a model.

    Returns:
        `eval/<reward>` means, and by the first reward `eval/pass@1`, `eval/pass@k` and `eval/maj@k` for each k of
        `task.k`, each with `_low` and `_high`.

    Raises:
        DataError: the dataset holds no problem out.
    """
    quiet()
    splits = data.load(cfg.dataset, "eval")
    rows = splits.test.select(range(min(cfg.eval.problems, len(splits.test))))
    if len(rows) == 0:
        raise DataError(f"dataset {cfg.dataset.name} holds no problem out (eval.problems={cfg.eval.problems})")
    rewards = build_all(cfg)
    data.require(splits, rewards, cfg.dataset.name)
    manifest.add(folder, dataset={"rows": len(rows), "fingerprint": data.fingerprint(rows)})
    sampling = Sampling(
        cfg.task.n, cfg.eval.temperature, cfg.eval.top_p, cfg.eval.top_k or 0, cfg.eval.max_tokens, cfg.seed
    )
    began = time.monotonic()
    with engine_of(cfg, folder, rows) as engine, Counter("eval", len(rows) * cfg.task.n) as counter:
        completions = engine.generate(rows["prompt"], sampling, counter)
    refuse_failures(completions)
    sampled = score(rows, completions, rewards)
    write_atomic(folder.path / "completions/eval.jsonl", "".join(dumps(item) + "\n" for item in sampled.records(0)))
    metrics = {**summary(sampled, diagnosis(cfg)), **at_k(sampled, rewards[0].__name__, list(cfg.task.k))}
    seconds = round(time.monotonic() - began, 2)
    write_atomic(folder.path / "metrics.jsonl", dumps({"step": 0, "time": seconds, **metrics}) + "\n")
    return {
        **metrics,
        "notes": [sentence(name, metrics) for name in metrics if "@" in name and f"{name}_low" in metrics],
        "objective": cfg.objective,
        "problems": len(rows),
        "samples": cfg.task.n,
        "eval_seconds": seconds,
    }


@contextmanager
def engine_of(cfg: DictConfig, folder: RunFolder, rows: Dataset) -> Iterator[Engine]:
    """The engine to measure with, and in the manifest what it measures.

    Raises:
        DataError: a prompt leaves no room for its completion.
    """
    if cfg.engine.name != "transformers":
        with ready(cfg, folder.path) as made:
            source = cfg.model.path or cfg.model.repo or "built"
            manifest.add(folder, model={"name": cfg.model.name, "source": source, **made.identity})
            yield made.engine
        return
    model, tokenizer = models.load(cfg.model, cfg.accelerator.device)
    models.check_prompts(model, tokenizer, rows["prompt"], cfg.eval.max_tokens)
    manifest.add(folder, model=models.facts(model, cfg.model))
    yield TransformersEngine(model, tokenizer, cfg.eval.batch, cfg.engine.shortcuts)


def refuse_failures(completions: list[list[Completion]]) -> None:
    """Refuse to measure where a completion could not be made: it is neither right nor wrong.

    Raises:
        EngineError: with how many there are and the first cause.
    """
    failed = [item for row in completions for item in row if item.error]
    if failed:
        what = f"{len(failed)} of {sum(map(len, completions))} completions could not be made: {failed[0].error}"
        raise EngineError(f"{what}\n    fix      mend the cause and evaluate again; nothing was measured")


def sentence(name: str, metrics: dict[str, float]) -> str:
    """One estimate with its interval, to be read."""
    low, high = metrics[f"{name}_low"], metrics[f"{name}_high"]
    return f"{name.removeprefix('eval/')} {metrics[name]:.1%} (95 % interval {low:.1%} to {high:.1%})"


log = logging.getLogger("r1lab")
RIGHT = "the gold answer"  # right answers agree with each other, however they are spelt


def at_k(sampled: Sampled, reward: str, ks: list[int]) -> dict[str, float]:
    """pass@k and maj@k by one reward, over the problems of which it could score at least k samples.

    `eval/problems_skipped` counts the problems of which it could score none; where fewer than all problems count for a
    k, `eval/pass@k_problems` says how many do.

    Raises:
        DataError: it could score nothing.
    """
    right = sampled.right(reward)
    if not any(right):
        raise DataError(f"reward {reward} could score no problem: there is nothing to measure")
    metrics: dict[str, float] = {"eval/problems_skipped": sum(not row for row in right)}
    for k in sorted({1, *ks}):
        kept = [i for i, row in enumerate(right) if len(row) >= k]
        if not kept:
            log.warning("pass@%d needs %d scored samples, and reward %s skipped some of every problem", k, k, reward)
            metrics[f"eval/pass@{k}_problems"] = 0
            continue
        if len(kept) < len(right):
            metrics[f"eval/pass@{k}_problems"] = len(kept)
        passed = [pass_at_k(len(right[i]), sum(right[i].values()), k) for i in kept]
        metrics |= estimate(passed).record(f"eval/pass@{k}")
        if k > 1:
            answers = [
                [RIGHT if ok else final_answer(sampled.completions[i][j].text) for j, ok in right[i].items()]
                for i in kept
            ]
            votes = [majority_at_k(texts, list(right[i].values()), k) for texts, i in zip(answers, kept, strict=True)]
            metrics |= estimate(votes).record(f"eval/maj@{k}")
    return metrics
