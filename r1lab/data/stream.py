"""All rows of a dataset as they stand, batch by batch: for work that needs no split and may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset
from omegaconf import DictConfig, OmegaConf
from pyarrow.parquet import ParquetFile

from r1lab.config.source import parameters
from r1lab.data import hub
from r1lab.data.local import rows_of
from r1lab.errors import DataError, Finding
from r1lab.rows.files import SAVED, Source
from r1lab.rows.kinds import Kind, arrow_type
from r1lab.rows.look import look
from r1lab.rows.roles import Roles, roles_of
from r1lab.wording import display, nearest, some

BATCH = 8192  # rows
Batches = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Stream:
    """Rows that can be read again and again.

    Attributes:
        name: what messages call them.
        schema: of their columns.
        batches: given columns, the rows in their order, with those columns in that order.
    """

    name: str
    schema: pa.Schema
    batches: Batches

    def texts(self, column: str, key: str) -> Iterator[pa.Array]:
        """The texts of a column, batch by batch; of a conversation what its users say.

        Args:
            column: its name.
            key: what the config calls it.

        Raises:
            DataError: there is no such column, or it holds no text.
        """
        if column not in self.schema.names:
            close = nearest(column, self.schema.names)
            finding = Finding(
                f"{key}={column}: {self.name} has no such column",
                nearest=f"{key}={close}" if close else "",
                fix=f"its columns: {some(self.schema.names, like=column)}",
            )
            raise DataError(finding.text())
        kind = self.schema.field(column).type
        if not (is_text(kind) or _is_conversation(kind) or pa.types.is_null(kind)):
            texts = [field.name for field in self.schema if is_text(field.type)]
            fix = f"a column of text: {some(texts)}" if texts else ""
            what = f"{key}={column}: that column of {self.name} holds {kind}, not text"
            raise DataError(Finding(what, fix=fix).text())
        return (_text(batch.column(0)) for batch in self.batches([column]))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def _is_conversation(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return listed and pa.types.is_struct(kind.value_type) and kind.value_type.get_field_index("content") >= 0


def _text(values: pa.Array) -> pa.Array:
    if not _is_conversation(values.type):
        return values.cast(pa.string())
    said = []
    for turns in values.to_pylist():
        users = [turn["content"] for turn in turns or () if turn.get("role", "user") == "user"]
        said.append("\n".join(str(text) for text in users if text) or None)
    return pa.array(said, pa.string())


def stream(cfg: DictConfig, task: str = "decontaminate") -> Stream:
    """The rows of the config's dataset: all of them, none held out.

    Args:
        cfg: the `dataset` node of a run.
        task: what the rows are held to (`Roles`).

    Raises:
        DataError: they cannot be read.
    """
    target = str(cfg._target_)
    if target == "r1lab.data.local.load":
        return of_files(str(cfg.path), roles_of(cfg, task), str(cfg.get("split", "train")))
    if target == "r1lab.data.hub.load":
        split = cfg.split or cfg.test_split
        return of_rows(hub.read(cfg.repo, cfg.config, split, cfg.revision, files=cfg.get("files")), str(cfg.repo))
    return of_rows(loaded(cfg).train, str(cfg.name))


def loaded(cfg: DictConfig) -> Any:
    """What the dataset's own loader gives, where it is asked to hold nothing out."""
    target = str(cfg._target_)
    known = parameters(target) or {}
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    module, _, name = target.rpartition(".")
    given = {key: value for key, value in {**values, "test": 0}.items() if key in known}
    return getattr(import_module(module), name)(**given)


def of_rows(rows: Dataset, name: str) -> Stream:
    """The rows of a dataset that is there already."""

    def batches(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for table in rows.select_columns(list(columns)).with_format("arrow").iter(BATCH):
            yield from table.select(list(columns)).combine_chunks().to_batches()

    return Stream(name, rows.features.arrow_schema, batches)


def of_files(path: str, roles: Roles, split: str = "train", key: str = "dataset.path") -> Stream:
    """The rows of local files, read as they are asked for and never held.

    Raises:
        DataError: with every fault that `look` finds.
    """
    found = look(path, roles, split, f"{key}={path}", key)
    if found.faults:
        raise DataError("\n".join(fault.text() for fault in found.faults))
    source = found.source
    if source.format not in (".parquet", SAVED):
        schema = pa.schema([(name, arrow_type(found.kinds[name])) for name in found.columns])
        return Stream(path, schema, _of_text(source, found.kinds, schema))
    reader = _parquet if source.format == ".parquet" else _arrow
    first = reader(source.files[0], None)
    return Stream(path, first[0], _of_binary(source, first[0], reader))


def _of_text(source: Source, kinds: dict[str, Kind], schema: pa.Schema) -> Batches:
    def batches(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        fields = pa.schema([schema.field(name) for name in columns])
        rows = rows_of([str(file) for file in source.files], kinds)
        while some_rows := list(islice(rows, BATCH)):
            yield pa.RecordBatch.from_pylist([{name: row[name] for name in columns} for row in some_rows], fields)

    return batches


Reader = Callable[[Path, list[str] | None], tuple[pa.Schema, Iterator[pa.RecordBatch]]]


def _of_binary(source: Source, schema: pa.Schema, reader: Reader) -> Batches:
    def batches(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        names = list(columns)
        fields = pa.schema([schema.field(name) for name in names])
        for file in source.files:
            try:
                for batch in reader(file, names)[1]:
                    chosen = batch.select(names)
                    yield chosen if chosen.schema == fields else chosen.cast(fields)
            except (pa.ArrowException, KeyError) as error:
                first = display(source.files[0])
                what = f"{display(file)} has not the columns of {first}, or is broken: {str(error).splitlines()[0]}"
                raise DataError(what) from error

    return batches


def _parquet(file: Path, columns: list[str] | None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    opened = ParquetFile(file, pre_buffer=False)  # else every row group that was read stays in memory
    return opened.schema_arrow, opened.iter_batches(BATCH, columns=columns)


def _arrow(file: Path, _columns: list[str] | None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    opened = pa.ipc.open_stream(pa.memory_map(str(file)))
    return opened.schema, iter(opened)
