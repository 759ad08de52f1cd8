"""A small JSON file that several processes of one run keep together: what was sent where, and what is still to send."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r1lab.runs.folder import dumps, write_atomic


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process stands between looking at a folder and acting on what it saw there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".turn").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Ledger:
    """A JSON object in a file; every change is read, made and renamed into place under a lock.

    Args:
        path: the file; it is made at the first change.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> dict[str, Any]:
        """The object; empty where there is none yet, or where a crash of the machine left no JSON."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The object, to be changed in place; written when the block ends without an error."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self.read()
            yield content
            write_atomic(self.path, dumps(content, indent=2) + "\n")
