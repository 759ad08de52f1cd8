"""A small JSON file that several processes of one run keep together: what was sent where, and what is still to send."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r1lab.errors import ResumeError
from r1lab.runs.folder import REMOVE, RunFolder, dumps, write_atomic


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
        anew: whether a broken one begins anew, where the worst of that is that something is sent twice.
        fix: what to do where it is broken and does not begin anew.
    """

    def __init__(self, path: Path, anew: bool = False, fix: str = REMOVE):
        self.path = path
        self.fix = fix
        self.anew = anew

    def read(self) -> dict[str, Any]:
        """The object; empty where there is none yet.

        Raises:
            ResumeError: what is there is no JSON object, and the ledger does not begin anew.
        """
        try:
            return RunFolder(self.path.parent).read_json(self.path.name, self.fix)
        except ResumeError:
            if not self.anew:
                raise
            return {}

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The object, to be changed in place; written when the block ends without an error.

        Raises:
            ResumeError: as `read`; the file stays as it is.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self.read()
            yield content
            write_atomic(self.path, dumps(content, indent=2) + "\n")
