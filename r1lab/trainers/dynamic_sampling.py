"""Dynamic sampling (Yu et al. 2025, DAPO, section 3.2): groups whose rewards do not differ are replaced.

Such a group has advantage 0 throughout and teaches nothing, yet takes its place in the batch. Here it makes way for a
group of another prompt, drawn by seed, step and round alone so that a resumed run draws the same, and scored by the
same rewards; after a set number of rounds what is still without spread stays. What the run logs about rewards is of
the prompts drawn first, so that the curve still says how the policy does on the data; what was replaced is logged
beside it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl import GRPOTrainer

from r1lab.errors import RunError
from r1lab.trainers.ranks import total

Rows = list[dict[str, Any]]
LEFT = ("prompt_ids", "prompt_mask")  # padded on the left; what else is two-dimensional is padded on the right
METRICS = ("dynamic_sampling/replaced", "dynamic_sampling/left", "dynamic_sampling/extra")


class DynamicSampling(GRPOTrainer):
    """Mixin for TRL's trainer; put it before it in a class's bases.

    Attributes:
        resample: rounds in which groups without spread are replaced; 0 turns it off.
    """

    model: PreTrainedModel
    resample = 0

    def _generate_and_score_completions(self, inputs: Rows) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if not self.resample or not self.model.training:
            return output
        group = int(self.num_generations or 1)
        if len(inputs) % group:
            raise RunError(
                f"task.resample={self.resample}: {len(inputs)} completions per process and generation do not make "
                f"whole groups of {group}\n    fix      trainer.per_device_train_batch_size={group}"
            )
        logs = self._last_logs(len(inputs))
        first = flat = flat_groups(output["advantages"], group)
        extra = 0
        for attempt in range(self.resample):
            wanted = self._most(len(flat))
            if wanted == 0:
                break
            rows = self._other_rows(inputs, wanted, attempt)
            more, more_logs = self._score_aside([row for row in rows for _ in range(group)])
            extra += wanted
            lively = [place for place in range(wanted) if place not in flat_groups(more["advantages"], group)]
            for old, new in zip(flat, lively, strict=False):
                inputs[old * group : (old + 1) * group] = [rows[new]] * group
            output, logs = _replaced(output, more, logs, more_logs, list(zip(flat, lively, strict=False)), group)
            flat = flat[len(lively) :]
        self._put_back(logs, len(inputs))
        self._count_tokens(output)
        groups = total(len(inputs) // group)
        metrics = self._metrics["train"]
        for name, count in zip(METRICS, (len(first) - len(flat), len(flat), extra), strict=True):
            metrics[name].append(total(count) / groups)
        return output

    def _most(self, count: int) -> int:
        """The largest count of all processes, which must all make as many calls of the same size."""
        return int(self.accelerator.gather(torch.tensor([count], device=self.accelerator.device)).max())

    def _other_rows(self, inputs: Rows, count: int, attempt: int) -> Rows:
        """Rows of other prompts, the same for the same seed, step, round and process."""
        dice = torch.Generator()
        place = (int(self.args.seed), int(self._step), attempt, int(self.accelerator.process_index))
        dice.manual_seed(hash(place) % 2**63)
        taken = {repr(row["prompt"]) for row in inputs}
        found: Rows = []
        dataset: Any = self.train_dataset
        for index in torch.randperm(len(dataset), generator=dice).tolist():
            row = dataset[index]
            if repr(row["prompt"]) not in taken:
                taken.add(repr(row["prompt"]))
                found.append(row)
            if len(found) == count:
                return found
        everything = torch.randint(len(dataset), (count - len(found),), generator=dice).tolist()
        return found + [dataset[index] for index in everything]  # fewer prompts than a batch: the same ones again

    def _score_aside(self, inputs: Rows) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """Completions of further prompts, scored; the metrics of the step stay those of the prompts drawn first."""
        kept = {name: list(values) for name, values in self._metrics["train"].items()}
        output = super()._generate_and_score_completions(inputs)
        tokens = self._metrics["train"]["num_tokens"]
        self._metrics["train"].clear()
        self._metrics["train"].update({name: list(values) for name, values in kept.items()} | {"num_tokens": tokens})
        return output, self._last_logs(len(inputs))

    def _last_logs(self, count: int) -> dict[str, list[Any]]:
        """What TRL keeps of the last `count` completions, by the name of what it keeps."""
        total = count * self.accelerator.num_processes
        return {name: list(kept)[-total:] for name, kept in self._kept().items()}

    def _put_back(self, logs: dict[str, list[Any]], count: int) -> None:
        for name, kept in self._kept().items():
            kept.clear()
            kept.extend(logs[name])

    def _kept(self) -> dict[str, Any]:
        logs: dict[str, Any] = self._logs
        named = {name: logs[name] for name in ("prompt", "completion", "advantages")}
        return named | {f"rewards/{name}": kept for name, kept in logs["rewards"].items()}

    def _count_tokens(self, output: dict[str, Any]) -> None:
        """The loss divides by the completion tokens of the whole batch: count them anew."""
        output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()


def flat_groups(advantages: Tensor, group: int) -> list[int]:
    """The groups whose advantages are all 0.

    Args:
        advantages: (groups × group,).
    """
    return [place for place, row in enumerate(advantages.view(-1, group)) if not row.any()]


def _replaced(
    output: dict[str, Any],
    more: dict[str, Any],
    logs: dict[str, list[Any]],
    more_logs: dict[str, list[Any]],
    pairs: list[tuple[int, int]],
    group: int,
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """A batch with some of its groups replaced by groups of another one: (place here, place there)."""
    rows = [range(place * group, (place + 1) * group) for place, _ in pairs]
    others = [range(place * group, (place + 1) * group) for _, place in pairs]
    here, there = [i for part in rows for i in part], [i for part in others for i in part]
    merged = dict(output)
    for name, value in output.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            if name != "num_items_in_batch":
                raise RunError(f"task.resample: a batch with {name} cannot be resampled; text-only models can")
            continue
        value, other = _same_width(value, more[name], left=name in LEFT)
        value[here] = other[there]
        merged[name] = value
    for name, kept in logs.items():
        for i, j in zip(here, there, strict=True):
            kept[i] = more_logs[name][j]
    return merged, logs


def _same_width(first: Tensor, second: Tensor, *, left: bool) -> tuple[Tensor, Tensor]:
    """Copies of two batches, the narrower one padded with zeros: ids behind a mask of 0 have no meaning."""
    if first.ndim == 1:
        return first.clone(), second
    width = max(first.shape[1], second.shape[1])
    wide = []
    for value in (first, second):
        room = (width - value.shape[1], 0) if left else (0, width - value.shape[1])
        wide.append(torch.nn.functional.pad(value, room))
    return wide[0].clone(), wide[1]
