"""How a training run looks while it runs: a live line in a terminal, plain `key=value` lines anywhere else."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import Progress as Bar
from rich.progress import TextColumn
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.terminal import EVERY, live, terminal

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
        why: a sentence said once before it starts.
    """

    def __init__(self, label: str, why: str = ""):
        self.label = label
        self.why = why
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
        if self.why:
            self.console.print(self.why, markup=False)
        if self.console.file.isatty():
            self.bar = live(self.console, TextColumn("{task.fields[numbers]}"))
            self.bar.add_task(self.label, total=state.max_steps, completed=state.global_step, numbers="")
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
        if self.bar:
            text = "  ".join(f"{word} {value:.3g}" for word, value in self.numbers.items())
            self.bar.update(self.bar.task_ids[0], completed=state.global_step, numbers=text)
        elif time.monotonic() - self.said >= EVERY or state.global_step == state.max_steps:
            self.said = time.monotonic()
            done = state.global_step - self.first
            eta = (self.said - self.started) / max(1, done) * (state.max_steps - state.global_step)
            words = " ".join(f"{word}={value:.4g}" for word, value in self.numbers.items())
            step = f"step={state.global_step}/{state.max_steps}"
            self.console.print(f"{self.label.replace(' ', '_')} {step} {words} eta={eta:.0f}s", markup=False)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, markup=False)

    def stop(self) -> None:
        """Leave the terminal as it was found; safe to call twice."""
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.bar.tasks[0].completed)
            self.bar.stop()
            self.bar = None


class Counter:
    """Shows how many of a known number of completions are done; call it with (done, total).

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

    def __enter__(self) -> Counter:
        if self.console.file.isatty():
            self.bar = live(self.console)
            self.bar.add_task(self.label, total=self.total)
            self.bar.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total)
        elif now - self.said >= EVERY or done == total:
            self.said = now
            eta = (now - self.started) / max(1, done) * (total - done)
            self.console.print(f"{self.label} completions={done}/{total} eta={eta:.0f}s", markup=False)

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
