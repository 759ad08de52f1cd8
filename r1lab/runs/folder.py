"""The files of one run and the ways they are written.

`outputs/<name>/<time>/` holds `run.yaml` (resolved config), `manifest.json` (what ran where, and how it ended),
`metrics.jsonl` (the stream), `metrics.json` (the summary), `completions/` (samples with every reward),
`checkpoints/`, `store/`, `model/`, `report.html` and `run.log`. Whole files are written beside their place and renamed
into it; streams are appended line by line, and a torn last line is dropped when a run resumes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import ResumeError
from r1lab.runs import config

COMPLETE = "COMPLETE"  # the last file written into a checkpoint
AGAIN = "requeue"  # there once a checkpoint was saved because the queue's time was up: the run wants to go on
TYPED = "queued.json"  # what was typed to hand the run to a queue
LOCK, STARTER = ".lock", ".starter.lock"  # held by whoever writes the run; by whoever started it, from first to last
STREAMS = ("metrics.jsonl", "completions/train.jsonl", "completions/eval.jsonl", "warnings.jsonl")
REMOVE = "remove the file, and what it says is not known; or the run's whole folder, and it never was"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def write_atomic(path: Path, text: str) -> None:
    """Write a whole file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    while True:
        with beside.open("a", encoding="utf-8", errors="backslashreplace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another process may be writing the same file
            if not _stands(file.fileno(), beside):
                continue  # that one has renamed it into place
            file.truncate(0)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            beside.replace(path)
            return


def _stands(descriptor: int, path: Path) -> bool:
    """Whether an open file still has the name under which it was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def finite(value: Any) -> Any:
    """The value with NaN and infinities replaced by None, since JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def dumps(record: Any, indent: int | None = None) -> str:
    """JSON text of a record; lone surrogates are escaped, so that any completion can be written."""
    return json.dumps(finite(record), indent=indent, allow_nan=False)


class RunFolder:
    """One run's folder.

    Args:
        path: the folder; it is made when first written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints stand."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Where the final model stands."""
        return self.path / "model"

    @property
    def store(self) -> Path:
        """Where completions stand that are made once, unless the config says another place."""
        return self.path / "store"

    def write_config(self, cfg: DictConfig) -> Path:
        """Write `run.yaml`."""
        path = self.path / "run.yaml"
        write_atomic(path, OmegaConf.to_yaml(cfg))
        return path

    def read_config(self, needs: Collection[str] = ("task",)) -> DictConfig:
        """Read `run.yaml`.

        Args:
            needs: the keys that must be in it, dotted.

        Raises:
            ResumeError: there is none, or it is not one.
        """
        path = self.path / "run.yaml"
        if not path.is_file():
            why = "it holds no run.yaml" if self.path.exists() else "it does not exist"
            raise ResumeError(f"{self.path} is not a run's folder: {why}")
        return config.read(path, needs)

    def write_json(self, name: str, record: dict[str, Any]) -> None:
        """Write a whole JSON file."""
        write_atomic(self.path / name, dumps(record, indent=2) + "\n")

    def read_json(self, name: str, fix: str = REMOVE) -> dict[str, Any]:
        """Read a whole JSON file; an empty mapping where there is none.

        Args:
            name: the file's.
            fix: what to do where it is broken.

        Raises:
            ResumeError: what is there is no JSON object, which no kill of a run can leave.
        """
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ResumeError(f"{path} cannot be read: {error}", fix) from error
        if not isinstance(found, dict):
            raise ResumeError(f"{path} cannot be read: it holds no JSON object", fix)
        return found

    def append(self, stream: str, records: list[dict[str, Any]]) -> None:
        """Append records to one of `STREAMS`, a line each."""
        path = self.path / stream
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(dumps(record) + "\n" for record in records))

    def rewrite(self, stream: str, records: Iterable[dict[str, Any]]) -> None:
        """Write a whole file of records, a line each, in the place of what was there."""
        write_atomic(self.path / stream, "".join(dumps(record) + "\n" for record in records))

    def records(self, stream: str) -> Iterator[dict[str, Any]]:
        """The whole records of a stream; a line that is torn, or no object, ends it."""
        path = self.path / stream
        if not path.is_file():
            return
        with path.open(encoding="utf-8", errors="replace") as lines:  # a crash of the machine can leave any bytes
            for line in lines:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    return
                if not isinstance(record, dict):
                    return
                yield record

    def rewind(self, step: int) -> None:
        """Drop what was written after `step`, so that the resumed run writes it again, and once."""
        for stream in STREAMS:
            if (self.path / stream).is_file():
                self.rewrite(stream, (record for record in self.records(stream) if record["step"] <= step))

    def whole_checkpoints(self) -> list[Path]:
        """The checkpoints that were written to their end, by step."""
        whole = (path.parent for path in self.checkpoints.glob(f"checkpoint-*/{COMPLETE}"))
        return sorted(whole, key=step_of)

    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint."""
        return next(reversed(self.whole_checkpoints()), None)

    def drop_half_written(self) -> None:
        """Remove the checkpoints that a kill left unfinished: for the process that is about to write there, alone."""
        for path in set(self.checkpoints.glob("checkpoint-*")) - set(self.whole_checkpoints()):
            shutil.rmtree(path)

    def resumable(self) -> bool:
        """Whether a run that ended early has something to go on from: a whole checkpoint, or stored completions."""
        return self.last_checkpoint() is not None or any(self.store.glob("*.jsonl"))

    @contextlib.contextmanager
    def locked(self, name: str = LOCK) -> Iterator[None]:
        """Hold the folder for one process.

        Args:
            name: of the lock: between a start and the first line that the run writes, only its starter holds one.

        Raises:
            ResumeError: another process is running in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ResumeError(f"{self.path} is in use: another process is running in it") from None
            yield

    def in_use(self) -> bool:
        """Whether a process of this machine holds the folder; the locks themselves are left alone."""
        held = [self.path / name for name in (LOCK, STARTER) if (self.path / name).is_file()]
        locks = Path("/proc/locks")
        if not held or not locks.is_file():
            return False
        inodes = {str(lock.stat().st_ino) for lock in held}
        rows = [line.split() for line in locks.read_text().splitlines()]
        return any("FLOCK" in row and inodes & {field.rpartition(":")[2] for field in row} for row in rows)


class Onlooker(RunFolder):
    """The folder as every training process but the first sees it: it reads what the first one writes."""

    def write_config(self, cfg: DictConfig) -> Path:
        """Write nothing."""
        return self.path / "run.yaml"

    def write_json(self, name: str, record: dict[str, Any]) -> None:
        """Write nothing."""

    def append(self, stream: str, records: list[dict[str, Any]]) -> None:
        """Write nothing."""

    def rewrite(self, stream: str, records: Iterable[dict[str, Any]]) -> None:
        """Write nothing."""

    def rewind(self, step: int) -> None:
        """Write nothing."""

    def drop_half_written(self) -> None:
        """Remove nothing."""


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def storage_cause(error: BaseException) -> str | None:
    """What to say of an error that means that the disk is full or read-only, whoever raised it; else None."""
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{os.strerror(error.errno)}" + (f": {error.filename}" if error.filename else "")
    text = str(error)
    marks = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed writing", "unexpected pos")
    return next((f"the disk is full ({mark})" for mark in marks if mark in text), None)
