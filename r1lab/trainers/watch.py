"""The flight recorder: looks at the run's own numbers and says in words what a careful colleague would point at.

It knows a handful of ways in which GRPO goes wrong without an error, each with a threshold of its own. The first time
one is met for a whole window of steps, it is said on the terminal and written to the run's folder, where the report
finds it; a run that was told to stop at it, stops.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.errors import RunError
from r1lab.runs.folder import RunFolder
from r1lab.trainers.stream import SUMMARY, named

log = logging.getLogger("r1lab")

FILE = "warnings.jsonl"
SMALL = 1e-12


class Kind(StrEnum):
    """What there is to warn of."""

    DEAD_REWARD = "dead_reward"
    ZERO_SPREAD = "zero_spread"
    TRUNCATION = "truncation"
    LENGTH_EXPLOSION = "length_explosion"
    KL = "kl"
    ENTROPY_COLLAPSE = "entropy_collapse"


@dataclass(frozen=True)
class Thresholds:
    """When to speak; None keeps a warning silent.

    Args:
        window: logged steps that a condition must hold for.
        dead_reward: a reward that was this or less, in absolute value, at every step.
        zero_spread: share of groups whose rewards do not differ.
        truncation: share of completions cut at the length limit.
        length_explosion: mean length as a multiple of the first window's.
        kl: mean KL divergence from the reference, nats per token.
        entropy_collapse: mean entropy as a share of the first window's.
        stop: the warnings that end the run.
    """

    window: int = 20
    dead_reward: float | None = 0.0
    zero_spread: float | None = 0.9
    truncation: float | None = 0.5
    length_explosion: float | None = 4.0
    kl: float | None = 10.0
    entropy_collapse: float | None = 0.02
    stop: Sequence[str] = ()


class Watch(TrainerCallback):
    """Watches a training run.

    Args:
        folder: where warnings are written, one JSON line each: step, kind, text.
        thresholds: when to speak.
        rewards: the names of the run's rewards.
        say: prints a line where the user looks.
    """

    def __init__(
        self,
        folder: RunFolder,
        thresholds: Thresholds,
        rewards: Sequence[str],
        say: Callable[[str], None] = lambda text: None,
    ):
        self.say = say
        self.folder = folder
        self.thresholds = thresholds
        self.rewards = rewards
        self.recent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=thresholds.window))
        self.first: dict[str, float] = {}  # means over the first whole window
        self.said = {record["text"].split(":")[0] for record in folder.records(FILE)}
        for record in folder.records("metrics.jsonl"):  # what a run that is resumed has seen
            self._see(record)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or SUMMARY in logs:
            return
        self._see({named(key): value for key, value in logs.items()})
        for kind, text in self.faults():
            title = text.split(":")[0]
            if title in self.said:
                continue
            self.said.add(title)
            log.warning("step %d: %s", state.global_step, text)
            self.say(f"warning  step {state.global_step}: {text}")
            self.folder.append(FILE, [{"step": state.global_step, "kind": kind, "text": text}])
            if kind in self.thresholds.stop:
                raise RunError(
                    f"stopped at step {state.global_step}: {text}\n"
                    f"    fix      mend it and start anew, or take {kind} out of task.watch.stop and resume"
                )

    def _see(self, record: Mapping[str, Any]) -> None:
        for key, value in record.items():
            if isinstance(value, int | float) and value == value:
                self.recent[key].append(float(value))
                if len(self.recent[key]) == self.thresholds.window:
                    self.first.setdefault(key, sum(self.recent[key]) / len(self.recent[key]))

    def faults(self) -> list[tuple[Kind, str]]:
        """What holds for the whole last window: (kind, a sentence that begins with a title and a colon)."""
        limits = self.thresholds
        return [
            *self._dead_rewards(),
            *self._above(
                Kind.ZERO_SPREAD,
                "frac_reward_zero_std",
                limits.zero_spread,
                "no spread: {least:.0%} or more of the groups had one reward throughout and gave no gradient; the "
                "problems are too easy or too hard (task.resample replaces such groups)",
            ),
            *self._above(
                Kind.TRUNCATION,
                "completions/clipped_ratio",
                limits.truncation,
                "truncation: {least:.0%} or more of the completions met the length limit before their answer "
                "(trainer.max_completion_length)",
            ),
            *self._above(
                Kind.LENGTH_EXPLOSION,
                "completions/mean_length",
                limits.length_explosion,
                "length explosion: {last:.0f} tokens on average, from {first:.0f}; a reward may pay for length",
                relative=True,
            ),
            *self._above(
                Kind.KL,
                "kl",
                limits.kl,
                "kl: {last:.3g} nats per token from the reference; lower trainer.learning_rate or raise trainer.beta",
            ),
            *self._collapse(),
        ]

    def _dead_rewards(self) -> list[tuple[Kind, str]]:
        limit, found = self.thresholds.dead_reward, []
        for name in self.rewards:
            values = self._window(f"rewards/{name}")
            if limit is not None and values and max(map(abs, values)) <= limit:
                text = (
                    f"dead reward {name}: {values[-1]:g} at each of the last {len(values)} logged steps, so nothing is "
                )
                found.append((Kind.DEAD_REWARD, f"{text}learnt from it; its parser, column or sandbox may be wrong"))
        return found

    def _above(
        self, kind: Kind, key: str, limit: float | None, text: str, *, relative: bool = False
    ) -> list[tuple[Kind, str]]:
        """A metric that was at or above its limit, or that multiple of its first window's mean, all window long."""
        values, first = self._window(key), self.first.get(key, 0.0)
        if limit is None or not values or (relative and first < SMALL):
            return []
        if min(values) < (limit * first if relative else limit):
            return []
        return [(kind, text.format(least=min(values), last=values[-1], first=first))]

    def _collapse(self) -> list[tuple[Kind, str]]:
        share, values = self.thresholds.entropy_collapse, self._window("entropy")
        first = self.first.get("entropy", 0.0)
        if share is None or not values or first < SMALL or max(values) > share * first:
            return []
        text = (
            f"entropy collapse: {values[-1]:.3g} nats per token, from {first:.3g}; completions hardly differ any more"
        )
        return [(Kind.ENTROPY_COLLAPSE, text)]

    def _window(self, key: str) -> list[float]:
        """The last values of a metric; empty before a whole window has passed."""
        values = self.recent.get(key, ())
        return list(values) if len(values) == self.thresholds.window else []
