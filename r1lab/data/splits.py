"""Rows to train on and rows held out, with no prompt on both sides."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from r1lab.errors import DataError
from r1lab.wording import plural


@dataclass
class Splits:
    """Rows to train on, rows that are only ever sampled to measure, and what there is to say of how they came about."""

    train: Dataset
    test: Dataset
    said: list[str] = field(default_factory=list)


def prompt_key(value: Any) -> str:
    """What makes two prompts the same: their words; system turns and white space do not count.

    Args:
        value: text, or a conversation; of one that holds a completion, what stands before its last one.
    """
    if isinstance(value, list):
        turns = [
            turn for turn in value if isinstance(turn, Mapping) and turn.get("role") not in ("system", "developer")
        ]
        last = max((n for n, turn in enumerate(turns) if turn.get("role") == "assistant"), default=len(turns))
        value = "\0".join(f"{turn.get('role')}\0{turn.get('content')}" for turn in turns[:last])
    return " ".join(str(value).split())


def prompt_keys(rows: Dataset, columns: Sequence[str | None]) -> Iterator[bytes]:
    """A digest of each row's prompt, by the first of the columns that the rows have; of the whole row where none is."""
    by = next((name for name in columns if name and name in rows.column_names), None)
    for row in rows.select_columns([by]) if by else rows:
        text = prompt_key(row[by]) if by else repr(sorted(row.items()))
        yield hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).digest()


def split_off(rows: Dataset, test: float, seed: int = 42, columns: Sequence[str | None] = ()) -> Splits:
    """Hold out `test` rows, below 1 that share of them; at most half. Rows with the same prompt stay together.

    Args:
        rows: what to divide; both sides are in an order that depends on the seed alone.
        test: rows to hold out, or their share; fewer where prompts that stand in several rows do not fit.
        seed: which ones.
        columns: where the prompt is: the first of them that the rows have.
    """
    if test == 0:
        return Splits(rows, rows.select([]), ["no rows are held out (dataset.test=0): nothing is evaluated on the way"])
    groups: dict[bytes, list[int]] = {}
    for number, key in enumerate(prompt_keys(rows, columns)):
        groups.setdefault(key, []).append(number)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    wanted = min(round(test * len(rows)) if test < 1 else int(test), len(rows) // 2)
    held: list[int] = []
    kept: list[int] = []
    for group in order:
        (held if len(held) + len(group) <= wanted else kept).extend(group)
    said = [f"{plural(len(held), 'row')} held out of {len(rows):,}, {len(kept):,} to train on"]
    if len(groups) < len(rows):
        said.append(
            f"{plural(len(rows) - len(groups), 'row')} with the prompt of another one, on the same side as that"
        )
    if not held:
        said.append("no row can be held out: nothing is evaluated on the way")
    return Splits(rows.select(kept), rows.select(held), said)


def keep_apart(train: Dataset, test: Dataset, columns: Sequence[str | None] = ()) -> Splits:
    """Rows to train on without those whose prompt is among the held-out ones, which stay as they are.

    Raises:
        DataError: that leaves nothing.
    """
    held = set(prompt_keys(test, columns))
    kept = [number for number, key in enumerate(prompt_keys(train, columns)) if key not in held]
    said = [f"{plural(len(test), 'row')} held out by themselves, {len(kept):,} to train on"]
    if len(kept) == len(train):
        return Splits(train, test, said)
    if not kept:
        raise DataError(f"every prompt of the {plural(len(train), 'row')} to train on is among the held-out ones")
    said.append(f"left {plural(len(train) - len(kept), 'row')} out: their prompt is among the held-out ones")
    return Splits(train.select(kept), test, said)
