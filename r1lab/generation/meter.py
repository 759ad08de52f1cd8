"""How a generation looks while it runs: completions, tokens a second, failures, the time that is left."""

from __future__ import annotations

import time
from collections import deque

from rich.progress import Progress as Bar
from rich.progress import TextColumn

from r1lab.engines.base import Completion
from r1lab.runs.folder import RunFolder
from r1lab.terminal import EVERY, left, live, terminal

WINDOW = 30.0  # seconds over which tokens a second are counted
SPEED = "tokens_per_second"


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
        self.done = self.total = 0
        self.gained = self.told = 0  # of `done`: made now; and of `made`: those that `done` has in it
        self.tokens = self.failures = self.made = 0
        self.recent: deque[tuple[float, int]] = deque()  # when, tokens so far
        self.started = self.said = self.first = time.monotonic()

    def __enter__(self) -> Meter:
        if self.console.file.isatty():
            self.bar = live(self.console, TextColumn("{task.fields[numbers]}"))
            self.bar.add_task("generate", total=None, numbers="", eta=left(None))
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
            self.first = self.said = time.monotonic()
            self.recent.append((self.first, 0))  # a batch's completions come all at once
            if 0 < done < total:
                self.console.print(f"{done:,} of {total:,} completions are there already", markup=False)
        if self.made > self.told:  # else `done` leaps by what was there
            self.gained, self.told = self.gained + done - self.done, self.made
        self.done, self.total = done, total
        now = time.monotonic()
        eta = (now - self.first) / self.gained * (total - done) if self.gained else None
        if self.bar:
            numbers = " · ".join(self._numbers(" "))
            self.bar.update(self.bar.task_ids[0], completed=done, total=total, numbers=numbers, eta=left(eta))
        if now - self.said >= EVERY or (done == total and self.made):
            if not self.bar:
                words = [*self._numbers("="), *([] if eta is None else [f"eta={eta:.0f}s"])]
                self.console.print(f"generate completions={done}/{total} {' '.join(words)}", markup=False)
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
    def rate(self) -> float | None:
        """Tokens a second, over the last `WINDOW` seconds; None before the first one, and where nobody counts."""
        if len(self.recent) < 2 or not self.tokens:
            return None
        (begin, before), (end, after) = self.recent[0], self.recent[-1]
        return (after - before) / max(1e-3, end - begin)

    @property
    def overall(self) -> dict[str, float]:
        """Tokens a second since the first completion was asked for, as a metric; none where no token was made."""
        if not self.tokens:
            return {}
        return {SPEED: round(self.tokens / max(1e-3, self.recent[-1][0] - self.first), 1)}

    def _numbers(self, equals: str) -> list[str]:
        speed = [] if self.rate is None else [f"tokens/s{equals}{self.rate:.0f}"]
        return [*speed, f"failed{equals}{self.failures}"]

    def _stream(self) -> None:
        speed = {} if self.rate is None else {SPEED: round(self.rate, 1)}
        record = {**speed, "failures": self.failures, "tokens": self.tokens}
        self.folder.append("metrics.jsonl", [{"step": self.done, "time": round(time.time() - self.began, 2), **record}])
