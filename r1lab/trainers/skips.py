"""What a reward skips, or its machinery loses, neither pays nor costs where there are several rewards.

TRL adds up the rewards of a completion and takes one that is not there for 0. Among siblings that were judged, a
completion would then be punished for what its judge missed. Here such a reward stands at its group's mean: it adds
nothing to the advantage. What is logged and kept stays what the rewards said. A completion that no reward could judge
has advantage 0, as in TRL.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer


class NeutralSkips(GRPOTrainer):
    """Mixin for TRL's trainer; put it before it in a class's bases."""

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        self._said = super()._calculate_rewards(*args, **kwargs)
        group = self.num_generations if self.model is not None and self.model.training else self.num_generations_eval
        return neutral(self._said, int(group or 1))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if torch.isnan(self._said).any():
            self._log_what_was_said()
        return output

    def _log_what_was_said(self) -> None:
        """Put the rewards' own words back into what TRL logs and keeps."""
        logs: dict[str, Any] = self._logs
        metrics = self._metrics["train" if self.model is not None and self.model.training else "eval"]
        for place, name in enumerate(self.reward_func_names):
            said = self._said[:, place]
            there = said[~torch.isnan(said)]
            metrics[f"rewards/{name}/mean"][-1] = there.mean().item() if len(there) else float("nan")
            metrics[f"rewards/{name}/std"][-1] = there.std().item() if len(there) > 1 else float("nan")
            kept = logs["rewards"][name]
            before = list(kept)[: len(kept) - len(said)]
            kept.clear()
            kept.extend([*before, *said.tolist()])


def neutral(rewards: Tensor, group: int) -> Tensor:
    """Rewards with what is missing at its group's mean.

    Args:
        rewards: (completions, rewards), NaN where a reward has no score.
        group: completions of one prompt, in a row.

    Returns:
        The same, but for rows with some scores and some NaN: these NaN are the mean of the group's scores of that
        reward, or 0 where it has none. Rows of NaN alone stay.
    """
    missing = torch.isnan(rewards)
    means = rewards.view(-1, group, rewards.shape[1]).nanmean(1).nan_to_num(0.0).repeat_interleave(group, 0)
    partly = missing & ~missing.all(1, keepdim=True)
    return torch.where(partly, means, rewards)
