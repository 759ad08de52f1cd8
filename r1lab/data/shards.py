"""A dataset written batch by batch, as parquet files that `load_dataset` reads: there as a whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from datasets import Features
from pyarrow.parquet import ParquetWriter

GROUP = 64 << 20  # bytes of a row group, before compression
SHARD = 1 << 30  # bytes of a file, likewise


def with_fields(schema: pa.Schema, fields: list[pa.Field]) -> pa.Schema:
    """A schema with further columns, also in what `datasets` notes in it."""
    metadata = dict(schema.metadata or {})
    if b"huggingface" in metadata:
        noted = json.loads(metadata[b"huggingface"])
        if "features" in noted.get("info", {}):
            noted["info"]["features"] |= Features.from_arrow_schema(pa.schema(fields)).to_dict()
        metadata[b"huggingface"] = json.dumps(noted).encode()
    return pa.schema([*schema, *fields], metadata or None)


class Shards:
    """Writes `folder/data/train-00000.parquet` and on; what is written shows once `with` is left without an error.

    Args:
        folder: replaced where it is there.
        schema: of the rows.
        card: the text of its README.md.
    """

    def __init__(self, folder: Path, schema: pa.Schema, card: str = ""):
        self.folder, self.schema = folder, schema
        self.beside = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(self.beside, ignore_errors=True)
        (self.beside / "data").mkdir(parents=True)
        self.card = card
        self.rows = self.files = 0
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = self._written = 0
        self._writer: ParquetWriter | None = None

    def __enter__(self) -> Shards:
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        if not len(batch):
            return
        self.rows += len(batch)
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = ParquetWriter(self.beside / "data" / f"train-{self.files:05d}.parquet", self.schema)
            self.files += 1
        if self._waiting:  # `load_dataset` cannot read a row group without a row
            self._writer.write_table(pa.Table.from_batches(self._waiting, self.schema))
        self._written += self._bytes
        self._waiting, self._bytes = [], 0
        if self._written >= SHARD:
            self._writer.close()
            self._writer, self._written = None, 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and (self._waiting or not self.files):
            self._flush()
        if self._writer:
            self._writer.close()
        if kind is not None:
            shutil.rmtree(self.beside, ignore_errors=True)
            return
        (self.beside / "README.md").write_text(self.card, encoding="utf-8")
        for path in [*self.beside.rglob("*.*"), self.beside / "data", self.beside]:
            _sync(path)
        old = self.folder.with_name(f".{self.folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(old)
        self.beside.rename(self.folder)
        _sync(self.folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
