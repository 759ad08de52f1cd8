"""The dataset that a generation leaves: parquet files, a part for all completions and one for SFT, and its card.

dataset/README.md              what it is, and the two parts for `datasets.load_dataset(folder, "all" | "sft")`
dataset/all/train-00000.parquet   one row for each completion: the dataset's columns, and what was made of them
dataset/sft/train-00000.parquet   one conversation for each completion that is kept
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, List, Value

from r1lab.engines.base import Completion, Conversation

FOLDER = "dataset"
PARTS = ("all", "sft")
SHARD = 2**28  # bytes of a file, about
MESSAGES = List({"role": Value("string"), "content": Value("string")})
MADE = {  # columns of a completion; a dataset's own of the same name make way
    "row": Value("int64"),
    "sample": Value("int64"),
    "prompt": MESSAGES,
    "messages": MESSAGES,
    "completion": Value("string"),
    "reasoning": Value("string"),
    "finish": Value("string"),
    "tokens": Value("int64"),
    "prompt_tokens": Value("int64"),
}
OF_SFT = ("row", "sample", "prompt", "messages", "solution", "rewards")


def features_of(own: Features, rewards: Sequence[str]) -> Features:
    """The columns of the part `all`: the dataset's own, a completion's, and its rewards by name."""
    made = {**MADE, **({"rewards": {name: Value("float64") for name in rewards}} if rewards else {})}
    return Features({**{name: kind for name, kind in own.items() if name not in made}, **made})


def record_of(
    row: dict[str, Any], place: int, sample: int, prompt: Conversation, completion: Completion, rewards: dict[str, Any]
) -> dict[str, Any]:
    """The row of the part `all` for one completion."""
    made = {
        "row": place,
        "sample": sample,
        "prompt": list(prompt),
        "messages": [*prompt, {"role": "assistant", "content": whole_text(completion)}],
        "completion": completion.text,
        "reasoning": completion.reasoning or None,
        "finish": completion.finish,
        "tokens": completion.tokens,
        "prompt_tokens": completion.prompt_tokens,
    }
    return {**row, **made, **({"rewards": rewards} if rewards else {})}


def whole_text(completion: Completion) -> str:
    """What the assistant said, with the reasoning that a server kept apart put back between its tags."""
    if not completion.reasoning:
        return completion.text
    return f"<think>\n{completion.reasoning.strip()}\n</think>\n\n{completion.text.lstrip()}"


class Part:
    """One part of the dataset, written row by row; whole files only, renamed into place.

    Args:
        folder: of the part.
        features: its columns.
        tag: in its files' names.
    """

    def __init__(self, folder: Path, features: Features, tag: str):
        self.folder, self.schema, self.tag = folder, features.arrow_schema, tag
        self.rows = self.shards = 0
        self._writer: pq.ParquetWriter | None = None
        self._written = 0

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Write rows; columns that the part has not are left out."""
        if not records:
            return
        names = self.schema.names
        table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in records], schema=self.schema)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path(), self.schema)
        self._writer.write_table(table)
        self.rows += len(records)
        self._written += table.nbytes
        if self._written >= SHARD:
            self._end_shard()

    def _path(self) -> Path:
        return self.folder / f"train-{self.tag}-{self.shards:05d}.parquet"

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self.shards += 1
        self._writer, self._written = None, 0


class Output:
    """The dataset of a run; it stands in its place once it is whole.

    Args:
        run: the run's folder.
        own: the columns of the rows.
        rewards: names of the rewards.
        tag: that no dataset of other content has.
    """

    def __init__(self, run: Path, own: Features, rewards: Sequence[str], tag: str):
        self.folder, self.beside = run / FOLDER, run / f".{FOLDER}.tmp"
        shutil.rmtree(self.beside, ignore_errors=True)
        features = features_of(own, rewards)
        self.parts = {}
        for name in PARTS:
            (self.beside / name).mkdir(parents=True)
            columns = features if name == "all" else Features({k: v for k, v in features.items() if k in OF_SFT})
            self.parts[name] = Part(self.beside / name, columns, tag)

    def write(self, records: Sequence[dict[str, Any]], chosen: Sequence[int]) -> None:
        """Write completions, those at `chosen` for SFT as well."""
        self.parts["all"].write(records)
        self.parts["sft"].write([records[i] for i in chosen])

    def finish(self, card: str) -> None:
        """Put the dataset in its place, instead of one that was there.

        Args:
            card: its README.md, without the lines that name its parts.
        """
        for part in self.parts.values():
            part._end_shard()
        (self.beside / "README.md").write_text(self._head() + card)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.beside.rename(self.folder)

    def _head(self) -> str:
        lines = ["---", "configs:"]
        for name, part in self.parts.items():
            if part.rows:
                lines += [f"- config_name: {name}", f"  data_files: {name}/train-{part.tag}-*.parquet"]
                lines += ["  default: true"] if name == "all" else []
        return "\n".join([*lines, "---", "", ""])

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            shutil.rmtree(self.beside, ignore_errors=True)
