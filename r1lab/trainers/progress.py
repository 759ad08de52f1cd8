"""How a training run looks while it runs: a live line in a terminal, plain `key=value` lines anywhere else."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import Progress as Bar
from rich.progress import TextColumn
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.terminal import EVERY, left, live, terminal

SHOWN = {  # metric as logged → word on the screen
    "loss": "loss",
    "reward": "reward",
    "rewards/accuracy/mean": "accuracy",
    "rewards/format/mean": "format",
    "completions/mean_length": "length",
    "mean_token_accuracy": "token_accuracy",
}


class Progress(TrainerCallback):
    """Shows one training loop.

    Args:
        label: what is being trained.
    """

    def __init__(self, label: str):
        self.label = label
        self.console = terminal()
        self.bar: Bar | None = None
        self.started = self.said = 0.0
        self.first = 0
        self.numbers: dict[str, float] = {}  # GRPO logs its rewards only at the steps that generate

    def attach(self, trainer: Trainer) -> None:
        """Take the place of the library's own progress output."""
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(self)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.started, self.first = time.monotonic(), state.global_step
        if not state.is_world_process_zero:
            return
        if self.console.file.isatty():
            self.bar = live(self.console, TextColumn("{task.fields[numbers]}"))
            self.bar.add_task(
                self.label, total=state.max_steps, completed=state.global_step, numbers="", eta=left(None)
            )
            self.bar.start()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self.numbers |= {word: logs[key] for key, word in SHOWN.items() if logs and logs.get(key) is not None}
        if not state.is_world_process_zero or not self.numbers or not logs or "train_runtime" in logs:
            return
        eta = self._left(state)
        if self.bar:
            text = "  ".join(f"{word} {value:.3g}" for word, value in self.numbers.items())
            self.bar.update(self.bar.task_ids[0], completed=state.global_step, numbers=text, eta=left(eta))
        elif time.monotonic() - self.said >= EVERY or state.global_step == state.max_steps:
            self.said = time.monotonic()
            words = [f"{word}={value:.4g}" for word, value in self.numbers.items()]
            words += [] if eta is None else [f"eta={eta:.0f}s"]
            step = f"step={state.global_step}/{state.max_steps}"
            self.console.print(f"{self.label.replace(' ', '_')} {step} {' '.join(words)}", markup=False)

    def _left(self, state: TrainerState) -> float | None:
        """Seconds that the rest takes, from the steps since this loop began; None before the first."""
        done = state.global_step - self.first
        spent = time.monotonic() - self.started
        return spent / done * (state.max_steps - state.global_step) if done > 0 else None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.stop()

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        self.console.print(text, markup=False)

    def stop(self) -> None:
        """Leave the terminal as it was found; safe to call twice."""
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.bar.tasks[0].completed)
            self.bar.stop()
            self.bar = None


class Counter:
    """Shows how many of a known number of completions are done; call it with (done, total).

    The first call tells how many were there before, which say nothing about how long the others take.

    Args:
        label: what is being done.
        total: completions asked for.
    """

    def __init__(self, label: str, total: int):
        self.label = label
        self.total = total
        self.console = terminal()
        self.bar: Bar | None = None
        self.started = self.said = time.monotonic()
        self.before: int | None = None

    def __enter__(self) -> Counter:
        if self.console.file.isatty():
            self.bar = live(self.console)
            self.bar.add_task(self.label, total=self.total, eta=left(None))
            self.bar.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.before is None:
            self.before, self.started = done, now
            if 0 < done < total:
                self.console.print(f"{done:,} of {total:,} completions are there already", markup=False)
        made = done - self.before
        eta = (now - self.started) / made * (total - done) if made else None
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total, eta=left(eta))
        elif now - self.said >= EVERY or done == total:
            self.said = now
            words = [self.label, f"completions={done}/{total}", *([] if eta is None else [f"eta={eta:.0f}s"])]
            self.console.print(" ".join(words), markup=False)

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
