"""`trl.GRPOTrainer`, faster, that resumes exactly and keeps the completions it samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset
from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler

from r1lab.data.loading import last_user_text
from r1lab.rewards.base import text_of
from r1lab.runs.completions import completion_line
from r1lab.runs.folder import RunFolder
from r1lab.trainers.dynamic_sampling import DynamicSampling
from r1lab.trainers.fast import FastGRPO
from r1lab.trainers.resumable import Resumable
from r1lab.trainers.skips import NeutralSkips

KEPT = 64  # completions written per round of generation: whole groups, from the first


class EpochSampler(RepeatSampler):
    """TRL's sampler in an order that depends on the seed and the epoch alone, so that a later epoch can be resumed."""

    trainer: FastGRPO

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + int(self.trainer.state.epoch or 0))
        return super().__iter__()


class GRPO(Resumable, DynamicSampling, NeutralSkips, FastGRPO):
    """GRPO as TRL does it, with r1lab's folder.

    Args:
        folder: where sampled completions are written.
        shortcuts: whether `FastGRPO`'s shortcuts apply; without them every step is TRL's own.
        resample: rounds of `DynamicSampling`.
    """

    def __init__(self, *args: Any, folder: RunFolder, shortcuts: bool = True, resample: int = 0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.folder = folder
        self.resample = resample
        self.share_prompts = self.reuse_logprobs = self.skip_zero_advantages = shortcuts
        self.fast_sampling = self.regroup = shortcuts

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        sampler = super()._get_train_sampler(dataset)
        sampler.__class__ = EpochSampler
        assert isinstance(sampler, EpochSampler)
        sampler.trainer = self
        return sampler

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if self.accelerator.is_main_process and self.model.training:
            self._keep(inputs, output)
        return output

    def _keep(self, inputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
        """Write the first completions of a round, with every reward, to the run's folder."""
        count, group = len(inputs), self.num_generations or 1
        since = count * self.accelerator.num_processes  # TRL keeps the completions of all processes, this one's first
        kept = min(count, max(KEPT // group, 1) * group)
        kept_logs: dict[str, Any] = self._logs
        logs = {name: list(kept_logs[name])[-since:][:count] for name in ("prompt", "completion", "advantages")}
        rewards = {name: list(values)[-since:][:count] for name, values in kept_logs["rewards"].items()}
        lengths = output["completion_mask"].sum(1).tolist()
        ends = set(self.eos_token_ids)
        records = []
        for i in range(kept):
            last = int(output["completion_ids"][i, lengths[i] - 1]) if lengths[i] else None
            records.append(
                completion_line(
                    step=self.state.global_step + 1,
                    prompt=last_user_text(logs["prompt"][i]),
                    completion=text_of(logs["completion"][i]),
                    solution=inputs[i].get("solution"),
                    rewards={name: values[i] for name, values in rewards.items()},
                    advantage=logs["advantages"][i],
                    tokens=lengths[i],
                    finish="stop" if last in ends else "length",
                )
            )
        self.folder.append("completions/train.jsonl", records)
