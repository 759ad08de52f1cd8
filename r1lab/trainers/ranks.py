"""The training processes of a run among each other: how many there are, waiting, and passing small things around.

Where there is one, everything here costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def rank() -> int:
    """This process's place among all, from 0."""
    return dist.get_rank() if several() else 0


def world() -> int:
    """Training processes over all nodes."""
    return dist.get_world_size() if several() else 1


def several() -> bool:
    """Whether there are processes to wait for."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def meet() -> None:
    """Wait until every process is here."""
    if several():
        dist.barrier()


@contextmanager
def first() -> Iterator[None]:
    """The first process does what is inside, then the others do: they find what it has left in a cache."""
    if rank() > 0:
        meet()
    yield
    if rank() == 0:
        meet()


def gather(part: list[T]) -> list[T]:
    """The lists of all processes, one after another, on every process."""
    if not several():
        return part
    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, part)
    return [item for found in parts for item in found]


def share(value: T) -> T:
    """The first process's value, on every process."""
    if not several():
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def total(count: int) -> int:
    """The sum of a number over all processes."""
    return sum(gather([count]))
