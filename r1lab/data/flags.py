"""What was found of rows, as columns beside them and as lines of `flagged.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from r1lab.data.duplicates import Duplicate
from r1lab.data.overlap import Match
from r1lab.rows.benchmarks import column_of

MATCHES, REPEATS, SIMILARITY = "contamination", "duplicate_of", "duplicate_similarity"
SPAN = pa.struct([("source", pa.string()), ("document", pa.int64()), ("span", pa.string())])


@dataclass
class Found:
    """What was found, by row.

    Attributes:
        rows: how many were looked at.
        empty: how many of them have no prompt.
        matches: with benchmarks.
        repeats: of an earlier row.
    """

    rows: int = 0
    empty: int = 0
    matches: dict[int, list[Match]] = field(default_factory=dict)
    repeats: dict[int, Duplicate] = field(default_factory=dict)


def fields(labels: Sequence[str], duplicates: bool) -> list[pa.Field]:
    """The columns that flag rows: one for each benchmark, the matches, and what a row repeats."""
    flags = [pa.field(column_of(label), pa.bool_()) for label in labels]
    matches = [pa.field(MATCHES, pa.list_(SPAN))] if labels else []
    repeats = [pa.field(REPEATS, pa.int64()), pa.field(SIMILARITY, pa.float64())] if duplicates else []
    return [*flags, *matches, *repeats]


def values(found: Found, here: range, column: pa.Field) -> pa.Array:
    """One of those columns for some rows."""
    if column.name == MATCHES:
        matches = [found.matches.get(row, ()) for row in here]
        offsets = pa.array(np.cumsum([0, *map(len, matches)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, pa.array([_told(match) for some in matches for match in some], SPAN))
    if column.name in (REPEATS, SIMILARITY):
        repeats = [found.repeats.get(row) for row in here]
        name = "first" if column.name == REPEATS else "similarity"
        return pa.array([item and getattr(item, name) for item in repeats], column.type)
    flags = np.zeros(len(here), bool)
    for place, row in enumerate(here):
        if row in found.matches:
            flags[place] = any(column_of(match.source) == column.name for match in found.matches[row])
    return pa.array(flags)


def clean(found: Found, here: range) -> pa.Array:
    """Which of some rows are not flagged."""
    return pa.array([row not in found.matches and row not in found.repeats for row in here], pa.bool_())


def lines(found: Found, here: range) -> Iterator[dict[str, Any]]:
    """A line for each flagged one of some rows; rows and documents by their places from 0."""
    for row in here:
        matches, repeat = found.matches.get(row, []), found.repeats.get(row)
        if matches or repeat:
            again = {REPEATS: repeat.first, SIMILARITY: round(repeat.similarity, 4)} if repeat else {}
            yield {"row": row, MATCHES: [_told(match) for match in matches], **again}


def _told(match: Match) -> dict[str, Any]:
    return {key: value for key, value in asdict(match).items() if key != "row"}
