"""Where completions are kept, so that none is made twice and none is lost.

A store is a folder. Every writer appends to a segment of its own, one JSON line per completion as soon as it is there,
and beside it to an index of fixed-size records, from which a store of a hundred thousand completions opens in the time
of reading three megabytes. A kill at any moment loses at most a torn last line. Two writers never touch the same file;
what both have made is read once. Failures are kept as records too, and do not count as made.

    with Store(folder) as store:
        missing = store.missing(key, 8)                       # [4, 5, 6, 7] where four were there
        store.add(key, 4, {"completion": …, "finish": "stop", "tokens": 812})

`datasets.load_dataset("json", data_files=f"{folder}/*.jsonl")` reads the same lines.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from r1lab.errors import StorageError

VERSION = 1
HEAD = "store.json"
ENTRY = np.dtype([("key", "S16"), ("index", "<u4"), ("offset", "<u8"), ("length", "<u4")])
SYNC_SECONDS = 2.0  # a crash of the machine loses at most so much; a crash of the process nothing


def key_of(**parts: Any) -> str:
    """The key of everything that bears on a completion: equal parts, equal key, whatever their order.

    Args:
        parts: JSON values: the prompt as the model sees it, the model and its revision, the sampling, the seed.

    Returns:
        32 hexadecimal digits.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store:
    """Completions by key and index.

    Args:
        folder: made where it is not there.

    Raises:
        StorageError: a newer r1lab wrote it, or it cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.made: dict[bytes, int] = {}  # key → bits, one for each index that is there
        self._data: BinaryIO | None = None
        self._index: BinaryIO | None = None
        self._segment: Path | None = None
        self._synced = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_version()
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror or error}") from error
        for segment in self.segments():
            for entry in self._entries(segment):
                self._mark(bytes(entry["key"]).ljust(16, b"\0"), int(entry["index"]))

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return sum(bits.bit_count() for bits in self.made.values())

    def missing(self, key: str, n: int) -> list[int]:
        """The indices below `n` that are not there yet."""
        bits = self.made.get(bytes.fromhex(key), 0)
        return [index for index in range(n) if not bits >> index & 1]

    def add(self, key: str, index: int, record: Mapping[str, Any]) -> None:
        """Keep a completion; it is on its way to disk when this returns. One that is there already is left alone.

        Raises:
            StorageError: the disk is full or gone; what was kept before stays whole.
        """
        raw = bytes.fromhex(key)
        if not self.made.get(raw, 0) >> index & 1:
            self._append(raw, index, {"key": key, "index": index, **record}, counted=True)

    def add_failure(self, key: str, index: int, error: str) -> None:
        """Keep the word that a completion could not be made; it is asked for again next time."""
        self._append(bytes.fromhex(key), index, {"key": key, "index": index, "error": error}, counted=False)

    def records(self) -> Iterator[dict[str, Any]]:
        """Every completion once, segment by segment; failures are left out."""
        seen: dict[bytes, int] = {}
        for segment in self.segments():
            for line in _lines(segment):
                raw, index = bytes.fromhex(line["key"]), int(line["index"])
                if "error" in line or seen.get(raw, 0) >> index & 1:
                    continue
                seen[raw] = seen.get(raw, 0) | 1 << index
                yield line

    def lookup(self) -> Lookup:
        """Random access to what is there now."""
        return Lookup(self)

    def segments(self) -> list[Path]:
        """The data files, oldest first."""
        return sorted(self.folder.glob("*.jsonl"))

    def close(self) -> None:
        """Have everything written; the store may be used again."""
        for file in (self._data, self._index):
            if file:
                os.fsync(file.fileno())
                file.close()
        self._data = self._index = None

    def _check_version(self) -> None:
        head = self.folder / HEAD
        if not head.exists():
            temporary = self.folder / f".{HEAD}.{os.getpid()}.{secrets.token_hex(4)}"
            temporary.write_text(json.dumps({"version": VERSION}))
            temporary.replace(head)
            return
        try:
            version = int(json.loads(head.read_text())["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f'{head} is broken: {error}; it should say {{"version": {VERSION}}}') from error
        if version > VERSION:
            raise StorageError(
                f"{self.folder} was written by a newer r1lab (version {version}, this one reads {VERSION})"
            )

    def _append(self, raw: bytes, index: int, record: dict[str, Any], *, counted: bool) -> None:
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            data, entries = self._files()
            offset = data.tell()
            data.write(line)
            data.flush()
            if counted:
                entries.write(np.array([(raw, index, offset, len(line))], ENTRY).tobytes())
                entries.flush()
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(data.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            self._abandon()
            raise StorageError(f"{self.folder}: {error.strerror or error}") from error
        if counted:
            self._mark(raw, index)

    def _files(self) -> tuple[BinaryIO, BinaryIO]:
        if self._data is None or self._index is None:
            name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
            self._segment = self.folder / f"{name}.jsonl"
            self._data = self._segment.open("xb")
            self._index = self._segment.with_suffix(".index").open("xb")
        return self._data, self._index

    def _abandon(self) -> None:
        """Leave a segment that may end in half a line; the next completion begins another."""
        for file in (self._data, self._index):
            if file:
                try:
                    file.close()
                except OSError:
                    continue
        self._data = self._index = None

    def _mark(self, raw: bytes, index: int) -> None:
        self.made[raw] = self.made.get(raw, 0) | 1 << index

    def _entries(self, segment: Path) -> NDArray[Any]:
        """A segment's index as far as its data goes, with what the data holds beyond it.

        A kill may fall between the two; a crash of the machine, or a copy that was cut off, may leave either behind.
        """
        file = segment.with_suffix(".index")
        raw = file.read_bytes() if file.exists() else b""
        entries = np.frombuffer(raw[: len(raw) - len(raw) % ENTRY.itemsize], ENTRY)
        entries = entries[entries["offset"] + entries["length"] <= segment.stat().st_size]
        with segment.open("rb") as data:
            while len(entries) and _read(data, entries[-1]) is None:
                entries = entries[:-1]
        end = int(entries["offset"][-1] + entries["length"][-1]) if len(entries) else 0
        late = [
            (bytes.fromhex(line["key"]), line["index"], offset, length)
            for line, offset, length in _located(segment, end)
            if "error" not in line
        ]
        return np.concatenate([entries, np.array(late, ENTRY)]) if late else entries


class Lookup:
    """Completions by key and index, read from disk one at a time; 56 bytes of memory for each."""

    def __init__(self, store: Store):
        self.segments = store.segments()
        entries = [store._entries(segment) for segment in self.segments]
        every = np.concatenate(entries) if entries else np.empty(0, ENTRY)
        names = _names(every["key"], every["index"])
        order = np.argsort(names, kind="stable")  # of two with one name the older one is found
        self.names, self.entries = names[order], every[order]
        self.numbers = np.repeat(np.arange(len(entries), dtype="<u4"), [len(found) for found in entries])[order]
        self.files: dict[int, BinaryIO] = {}

    def __call__(self, key: str, index: int) -> dict[str, Any] | None:
        """The record, None where there is none.

        Raises:
            StorageError: a segment holds something else where it should stand.
        """
        name = _names(np.array([bytes.fromhex(key)], "S16"), np.array([index], "<u4"))[0]
        place = int(np.searchsorted(self.names, name))
        if place == len(self.names) or self.names[place] != name:
            return None
        number, entry = int(self.numbers[place]), self.entries[place]
        file = self.files.get(number)
        if file is None:
            file = self.files[number] = self.segments[number].open("rb")
        record = _read(file, entry)
        if record is None:
            what = f"{self.segments[number]} is broken at byte {entry['offset']}"
            fix = f"rm {self.segments[number].with_suffix('.index')}; what is whole is found, and the rest made again"
            raise StorageError(f"{what}\n    fix      {fix}")
        return record

    def __enter__(self) -> Lookup:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that reading opened."""
        for file in self.files.values():
            file.close()
        self.files.clear()


def _names(keys: NDArray[Any], indices: NDArray[Any]) -> NDArray[Any]:
    """Key and index, (N,) each, as one sortable name of 20 bytes."""
    both = np.zeros(len(keys), [("key", "S16"), ("index", ">u4")])
    both["key"], both["index"] = keys, indices
    return both.view("S20")


def _lines(segment: Path) -> Iterator[dict[str, Any]]:
    for line, _, _ in _located(segment, 0):
        yield line


def _located(segment: Path, start: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """The whole records of a segment from an offset on, with offset and length; lines that are none are left out."""
    with segment.open("rb") as file:
        file.seek(start)
        offset = start
        for raw in file:
            length = len(raw)
            if raw.endswith(b"\n") and (record := _record(raw)) is not None:
                yield record, offset, length
            offset += length


def _read(file: BinaryIO, entry: np.void) -> dict[str, Any] | None:
    """The record that an entry of the index means; None where something else stands there."""
    file.seek(int(entry["offset"]))
    record = _record(file.read(int(entry["length"])))
    known = (bytes(entry["key"]).ljust(16, b"\0").hex(), int(entry["index"]))
    return record if record and (record["key"], record["index"]) == known else None


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None for one that is none, as a crash of the machine may leave it."""
    try:
        record = json.loads(line)
        fine = len(bytes.fromhex(record["key"])) == 16 and 0 <= record["index"] < 2**32
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if fine and type(record["index"]) is int else None
