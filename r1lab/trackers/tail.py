"""Reading a run's stream of metrics while it grows, from where an earlier reader stopped."""

from __future__ import annotations

import json
import os
from typing import Any

from r1lab.runs.folder import RunFolder

STREAM = "metrics.jsonl"
MOST = 256  # records held at once; the file holds the others


class Tail:
    """The records of `metrics.jsonl` that are not sent yet.

    A resumed run cuts the stream back and writes it again; what was sent before is told by its step, and of the last
    step, by how many of its records were.

    Args:
        folder: the run's.
        step: the last step of which a record was sent; None for none.
        at_step: how many of its records were.
    """

    def __init__(self, folder: RunFolder, step: int | None = None, at_step: int = 0):
        self.path = folder.path / STREAM
        self.step = step
        self.at_step = at_step
        self.records = 0  # of the file, sent or stepped over
        self._old = (step, at_step)
        self._place = 0  # bytes read
        self._file = 0  # the inode they were read from
        self._held: list[dict[str, Any]] = []

    def ahead(self, count: int) -> list[dict[str, Any]]:
        """The next records, at most `count`; fewer where the file has no more whole lines now."""
        if len(self._held) < count:
            self._read()
        return self._held[:count]

    def skip(self, count: int) -> None:
        """Step behind the next records."""
        for record in self._held[:count]:
            same = record["step"] == self.step
            self.at_step = self.at_step + 1 if same else 1
            self.step = record["step"]
            self.records += 1
        del self._held[:count]

    def _read(self) -> None:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_ino != self._file or state.st_size < self._place:  # cut back: another file in its place
                self._file, self._place, self._held, self.records = state.st_ino, 0, [], 0
                self._old = (self.step, self.at_step)
            file.seek(self._place)
            while len(self._held) < MOST:
                line = file.readline()
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if self._sent(record):
                    self.records += 1
                else:
                    self._held.append(record)

    def _sent(self, record: dict[str, Any]) -> bool:
        """Whether an earlier reader sent a record."""
        step, count = self._old
        if step is None or record["step"] > step:
            return False
        if record["step"] < step:
            return True
        self._old = (step, count - 1)
        return count > 0
