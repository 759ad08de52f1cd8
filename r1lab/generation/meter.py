"""How a generation looks while it runs: completions, tokens a second, failures, the time that is left."""

from __future__ import annotations

import time
from collections import deque

from rich.progress import Progress as Bar
from rich.progress import TextColumn

from r1lab.engines.base import Completion
from r1lab.runs.folder import RunFolder
from r1lab.terminal import EVERY, live, terminal

WINDOW = 30.0  # seconds over which tokens a second are counted


class Meter:
    """A live line in a terminal, plain lines anywhere else, and a line of the run's stream every few seconds.

    Args:
        folder: the run's.
        began: seconds of `time.time` at which the run began, for the stream's clock.
    """

    def __init__(self, folder: RunFolder, began: float):
        self.folder, self.began = folder, began
        self.console = terminal()
        self.bar: Bar | None = None
        self.done = self.total = self.before = 0
        self.tokens = self.failures = self.made = 0
        self.recent: deque[tuple[float, int]] = deque()  # when, tokens so far
        self.started = self.said = self.first = time.monotonic()

    def __enter__(self) -> Meter:
        if self.console.file.isatty():
            self.bar = live(self.console, TextColumn("{task.fields[numbers]}"))
            self.bar.add_task("generate", total=None, numbers="")
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
        if self.made:
            self._stream()

    def progress(self, done: int, total: int) -> None:
        """So many completions are there of so many; the first call tells how many were there before."""
        if not self.total:
            self.before, self.first = done, time.monotonic()
            self.recent.append((self.first, 0))  # a batch's completions come all at once
            if 0 < done < total:
                self.console.print(f"{done:,} of {total:,} completions are there already", markup=False)
        self.done, self.total = done, total
        now = time.monotonic()
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total, numbers=self._numbers(" · "))
        if now - self.said >= EVERY or (done == total and self.made):
            if not self.bar:
                eta = (now - self.first) / max(1, done - self.before) * (total - done)
                text = f"generate completions={done}/{total} {self._numbers(' ', '=')} eta={eta:.0f}s"
                self.console.print(text, markup=False)
            self.said = now
            self._stream()

    def completion(self, completion: Completion) -> None:
        """A completion was made, or could not be."""
        now = time.monotonic()
        self.made += 1
        self.tokens += completion.tokens
        self.failures += bool(completion.error)
        self.recent.append((now, self.tokens))
        while len(self.recent) > 2 and now - self.recent[0][0] > WINDOW:
            self.recent.popleft()

    @property
    def rate(self) -> float:
        """Tokens a second, over the last `WINDOW` seconds."""
        if len(self.recent) < 2:
            return 0.0
        (begin, before), (end, after) = self.recent[0], self.recent[-1]
        return (after - before) / max(1e-3, end - begin)

    @property
    def overall(self) -> float:
        """Tokens a second since the first completion was asked for."""
        end = self.recent[-1][0] if self.recent else self.first
        return self.tokens / max(1e-3, end - self.first)

    def _numbers(self, between: str, equals: str = " ") -> str:
        return between.join([f"tokens/s{equals}{self.rate:.0f}", f"failed{equals}{self.failures}"])

    def _stream(self) -> None:
        record = {"tokens_per_second": round(self.rate, 1), "failures": self.failures, "tokens": self.tokens}
        self.folder.append("metrics.jsonl", [{"step": self.done, "time": round(time.time() - self.began, 2), **record}])
