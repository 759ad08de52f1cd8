"""Held-out problems sampled before the first step, along the way, and after the last."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from omegaconf import DictConfig
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.engines.base import Engine, Sampling
from r1lab.evaluation.sampling import Diagnose, sample_and_score, summary
from r1lab.evaluation.shards import Shard, joined
from r1lab.rewards.base import Reward
from r1lab.runs.folder import RunFolder
from r1lab.terminal import lengthy
from r1lab.trainers.ranks import gather, rank, world
from r1lab.trainers.stream import Stream
from r1lab.wording import plural

KEPT = 40  # completions written per evaluation


class Evaluator(TrainerCallback):
    """Samples the same held-out problems with the same dice at every evaluation, and leaves training's dice alone.

    Where there are several training processes each samples its share of the problems, with dice of its own, and all of
    them have the result.

    Args:
        engine: samples the model in training.
        rows: the held-out problems.
        rewards: score the completions; `eval/<reward>` are the metrics.
        cfg: the run's `eval` node.
        seed: of the sampling.
        diagnose: the dataset's own look at the completions, if it has one.
        whole: gathers the weights of a model that is sharded.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Dataset,
        rewards: Sequence[Reward],
        cfg: DictConfig,
        seed: int,
        folder: RunFolder,
        stream: Stream,
        diagnose: Diagnose | None = None,
        whole: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ):
        self.rows = rows.select(range(min(cfg.problems, len(rows))))
        self.engine = engine
        self.shard = Shard(engine, self.rows, world())
        self.whole = whole
        self.rewards = rewards
        self.every = cfg.every
        dice = seed + rank() * 2**32  # the first process's are those of a run that has no other
        self.sampling = Sampling(1, cfg.temperature, cfg.top_p, cfg.top_k or 0, cfg.max_tokens, dice)
        self.folder = folder
        self.stream = stream
        self.diagnose = diagnose
        records = folder.records("metrics.jsonl")
        self.results = {item["step"]: item for item in records if any(key.startswith("eval/") for key in item)}

    def evaluate(self, step: int) -> None:
        """Evaluate once, unless this step's evaluation is already in the folder."""
        if len(self.rows) == 0 or step in self.results:
            return
        mine = self.rows.select(range(rank(), len(self.rows), world()))
        what = f"evaluating {plural(len(self.rows), 'held-out problem')} at step {step}"
        with lengthy(what), dice_of_its_own(self.sampling.seed), self.whole():
            part = sample_and_score(self.shard, mine, self.rewards, self.sampling)
        sampled = joined(self.rows, gather([part.without_rows()]))
        metrics = summary(sampled, self.diagnose)
        self.folder.append("completions/eval.jsonl", sampled.records(step)[:KEPT])
        self.stream.write(step, metrics)
        self.results[step] = metrics

    def due(self, step: int, last: int) -> bool:
        """Whether a step is one of those that divide the run into shares of `every`."""
        if self.every <= 0 or step >= last:
            return False
        done, before = (int(count / last / self.every + 1e-9) for count in (step, step - 1))  # 0.3 / 0.1 is below 3
        return done > before

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 0:
            self.evaluate(0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.due(state.global_step, state.max_steps):
            self.evaluate(state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.evaluate(state.global_step)

    def before_and_after(self) -> dict[str, float]:
        """The last evaluation's metrics, and the first one's with `_before` after the name."""
        if not self.results:
            return {}
        evals = [
            {key: value for key, value in self.results[step].items() if key.startswith("eval/")}
            for step in (min(self.results), max(self.results))
        ]
        first, last = evals
        if len(self.results) == 1:
            return last
        return last | {before(key): value for key, value in first.items()}


@contextmanager
def dice_of_its_own(seed: int) -> Iterator[None]:
    """Python's, NumPy's and torch's dice seeded for a while, for rewards that throw them, and then as they were."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def before(key: str) -> str:
    """The name of a metric's first value: `eval/accuracy_low` becomes `eval/accuracy_before_low`."""
    for suffix in ("_low", "_high"):
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix)}_before{suffix}"
    return f"{key}_before"
