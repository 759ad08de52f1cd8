"""task=eval: benchmarks, or a dataset's held-out problems; each number with its interval and what speaks against it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.data import loading as data
from r1lab.engines.base import Completion, Conversation, Sampling, seed_of
from r1lab.engines.store import Store
from r1lab.engines.stored import complete
from r1lab.engines.transformers import TransformersEngine
from r1lab.errors import DataError, EngineError
from r1lab.evaluation.fingerprint import conditions
from r1lab.evaluation.judging import UNVERIFIABLE
from r1lab.evaluation.measures import measures
from r1lab.evaluation.questions import digest
from r1lab.evaluation.records import Problem, Record, Sample
from r1lab.evaluation.result import keep, metrics_of, result_of, sentences
from r1lab.evaluation.sampling import Sampled, score, summary
from r1lab.generation.engines import Ready, ready
from r1lab.models import loading as models
from r1lab.rewards.answers import final_answer
from r1lab.rewards.base import Reward, build_all
from r1lab.runs import manifest
from r1lab.runs.completions import completion_line
from r1lab.runs.folder import RunFolder
from r1lab.tasks.quiet import named, quiet
from r1lab.tasks.training import diagnosis
from r1lab.trainers.progress import Counter

SHOWN = 40  # completions of each benchmark on the run's page


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Evaluate a model on the benchmarks that are chosen, else on the dataset's held-out problems."""
    quiet()
    return benchmarks(cfg, folder) if cfg.benchmark else held_out(cfg, folder)


def benchmarks(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Evaluate a model on benchmarks, by the run's evaluator.

    Returns:
        `eval/NAME/pass@1` and the other measures of each, with `_low` and `_high`; notes to be read.

    Raises:
        UserError: a benchmark or the model cannot be loaded.
        DataError: nothing of a benchmark could be judged.
    """
    began = time.monotonic()
    found: dict[str, float] = {}
    notes: list[str] = []
    shown: list[dict[str, Any]] = []
    for record in named(cfg.evaluator._target_)(cfg, folder.path):
        result = result_of(record, list(cfg.benchmark[record.benchmark].k))
        keep(folder.path, record, result)
        notes += sentences(result)
        found |= metrics_of(result)
        shown += shown_of(record, len(shown))
        folder.rewrite("completions/eval.jsonl", shown)
        manifest.add(folder, model=record.made_by.get("model") or {})
    seconds = round(time.monotonic() - began, 2)
    folder.append("metrics.jsonl", [{"step": 0, "time": seconds, **found}])
    first = next(name for name in found if name.endswith(("/pass@1", "/points")))
    objective = cfg.objective if cfg.objective in found else first
    return {**found, "notes": notes, "objective": objective, "eval_seconds": seconds}


def shown_of(record: Record, start: int) -> list[dict[str, Any]]:
    """A benchmark's first completions as the run's page reads them."""
    numbered = enumerate(record.problems, start)
    every = ((number, problem, j, s) for number, problem in numbered for j, s in enumerate(problem.samples))
    return [
        completion_line(
            problem=number,
            sample=j,
            prompt=problem.prompt,
            completion=sample.text,
            solution=problem.gold,
            rewards={record.benchmark: sample.score},
            tokens=sample.tokens,
            finish=sample.finish,
        )
        for number, problem, j, sample in islice(every, SHOWN)
    ]


def held_out(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Evaluate a model on the dataset's held-out problems, by the run's rewards.

    A completion is kept in the store as soon as it is there; a killed evaluation makes those that are missing.

    Returns:
        `eval/<reward>` means, and by the first reward `eval/pass@1`, `eval/pass@k` and `eval/maj@k` for each k of
        `task.k`, each with `_low` and `_high`.

    Raises:
        DataError: the dataset holds no problem out.
    """
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
    of_tokens = any("completion_ids" in reward.takes for reward in rewards)
    where, prompts = Path(cfg.task.store) if cfg.task.store else folder.store, list(rows["prompt"])
    with (
        engine_of(cfg, folder, prompts) as made,
        Store(where) as store,
        Counter("eval", len(rows) * cfg.task.n) as counter,
    ):
        completions = complete(made.engine, store, prompts, sampling, made.identity, counter, of_tokens)
    refuse_failures(completions)
    sampled = score(rows, completions, rewards)
    folder.rewrite("completions/eval.jsonl", sampled.records(0))
    record = record_of(cfg, sampled, rewards[0], sampling, {**manifest_model(folder), **made.identity})
    result = result_of(record, list(cfg.task.k))
    keep(folder.path, record, result)
    metrics = {**summary(sampled, diagnosis(cfg)), **at_k(record, list(cfg.task.k))}
    seconds = round(time.monotonic() - began, 2)
    folder.rewrite("metrics.jsonl", [{"step": 0, "time": seconds, **metrics}])
    return {
        **metrics,
        "notes": sentences(result),
        "objective": cfg.objective,
        "problems": len(rows),
        "samples": cfg.task.n,
        "eval_seconds": seconds,
    }


@contextmanager
def engine_of(cfg: DictConfig, folder: RunFolder, prompts: Sequence[Conversation]) -> Iterator[Ready]:
    """The engine to measure with, and in the manifest what it measures.

    Raises:
        DataError: a prompt leaves no room for its completion.
    """
    with ready(cfg, folder.path) as made:
        about = {"name": cfg.model.name, "source": cfg.model.path or cfg.model.repo or "built"}
        if isinstance(made.engine, TransformersEngine):
            models.check_prompts(made.engine.model, made.engine.tokenizer, prompts, cfg.eval.max_tokens)
            about = models.facts(made.engine.model, cfg.model)
        manifest.add(folder, model={**about, **made.identity})
        yield made


def manifest_model(folder: RunFolder) -> dict[str, Any]:
    """What the manifest says of the model."""
    return dict(folder.read_json("manifest.json").get("model") or {})


def refuse_failures(completions: list[list[Completion]]) -> None:
    """Refuse to measure where a completion could not be made: it is neither right nor wrong.

    Raises:
        EngineError: with how many there are and the first cause.
    """
    failed = [item for row in completions for item in row if item.error]
    if failed:
        what = f"{len(failed)} of {sum(map(len, completions))} completions could not be made: {failed[0].error}"
        raise EngineError(f"{what}\n    fix      mend the cause and go on with resume=FOLDER; what was made is kept")


def problems_of(sampled: Sampled, name: str, seed: int | None = None) -> tuple[Problem, ...]:
    """What was sampled of a dataset by a seed, with one reward's scores, as records keep it."""
    problems = []
    for row, completions, scores in zip(sampled.rows, sampled.completions, sampled.scores[name], strict=True):
        prompt, gold = data.last_user_text(row["prompt"]), row.get("solution")
        seeds = [None if seed is None else seed_of(seed, row["prompt"], place) for place in range(len(completions))]
        samples = [
            Sample(item.text, score, final_answer(item.text), item.finish, item.tokens, item.prompt_tokens, drawn)
            for item, score, drawn in zip(completions, scores, seeds, strict=True)
        ]
        samples = [replace(s, reason=UNVERIFIABLE) if s.score is None else s for s in samples]
        problems.append(Problem(digest([repr(row["prompt"])]), prompt, gold, tuple(samples)))
    return tuple(problems)


def record_of(cfg: DictConfig, sampled: Sampled, reward: Reward, sampling: Sampling, model: dict[str, Any]) -> Record:
    """An evaluation of a dataset, decided by one reward."""
    problems = problems_of(sampled, reward.__name__, sampling.seed)
    wording = digest(sorted(repr(prompt) for prompt in sampled.rows["prompt"]))
    data_of = digest(sorted(f"{problem.id}\0{problem.gold}" for problem in problems))
    made_by = conditions(cfg, model, sampling, wording, data_of, cfg.reward[reward.__name__])
    return Record(cfg.dataset.name, sampling.n, problems, made_by)


def at_k(record: Record, ks: list[int]) -> dict[str, float]:
    """The measures of a record as the run's own metrics.

    `eval/problems_skipped` counts the problems of which no sample could be scored; where fewer than all problems count
    for a k, `eval/pass@k_problems` says how many do, which may be none.

    Raises:
        DataError: nothing could be scored.
    """
    found = measures(record, ks)
    judged = [any(sample.score is not None for sample in problem.samples) for problem in record.problems]
    metrics: dict[str, float] = {"eval/problems_skipped": judged.count(False)}
    for name, value in found.items():
        if not name.startswith("avg@"):
            metrics |= value.record(f"eval/{name}")
    for name in (f"pass@{k}" for k in sorted({1, *ks})):
        count = found[name].problems if name in found else 0
        if count < len(record.problems):
            metrics[f"eval/{name}_problems"] = count
    return metrics
