"""What was found of rows, as columns beside them and as lines of `flagged.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from r1lab.data.duplicates import Duplicate
from r1lab.data.overlap import Match
from r1lab.rows.against import column_of

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
    hits = sorted(found.matches.keys() & here)  # few of many
    if column.name == MATCHES:
        ends = np.zeros(len(here) + 1, np.int32)
        ends[[row - here.start + 1 for row in hits]] = [len(found.matches[row]) for row in hits]
        told = [_told(match) for row in hits for match in found.matches[row]]
        return pa.ListArray.from_arrays(pa.array(np.cumsum(ends), pa.int32()), pa.array(told, SPAN))
    if column.name in (REPEATS, SIMILARITY):
        repeats = [found.repeats.get(row) for row in here]
        name = "first" if column.name == REPEATS else "similarity"
        return pa.array([item and getattr(item, name) for item in repeats], column.type)
    flags = np.zeros(len(here), bool)
    for row in hits:
        flags[row - here.start] = any(column_of(match.source) == column.name for match in found.matches[row])
    return pa.array(flags)


def clean(found: Found, here: range) -> pa.Array:
    """Which of some rows are not flagged."""
    flags = np.ones(len(here), bool)
    flags[[row - here.start for row in [*(found.matches.keys() & here), *(found.repeats.keys() & here)]]] = False
    return pa.array(flags)


def lines(found: Found, here: range) -> Iterator[dict[str, Any]]:
    """A line for each flagged one of some rows; rows and documents by their places from 0."""
    for row in sorted((found.matches.keys() & here) | (found.repeats.keys() & here)):
        matches, repeat = found.matches.get(row, []), found.repeats.get(row)
        again = {REPEATS: repeat.first, SIMILARITY: round(repeat.similarity, 4)} if repeat else {}
        yield {"row": row, MATCHES: [_told(match) for match in matches], **again}


def _told(match: Match) -> dict[str, Any]:
    return {"source": match.source, "document": match.document, "span": match.span}
