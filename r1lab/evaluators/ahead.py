"""Work on problems while others are still being sampled, so that a scorer's time is not added to the engine's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from r1lab.engines.base import Completion
from r1lab.engines.store import Store
from r1lab.engines.stored import completions_of

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """Hands problems to a judge as soon as all completions of a few neighbours are in the store.

    `found` is what came of that. What was not reached, or where the judge raised, is left to whoever judges the rest.

    Args:
        store: where completions appear.
        keys: of each problem's completions.
        n: completions of each problem.
        size: problems that are judged together.
        judge: given the place of the first of them and their completions, in a thread.
    """

    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        n: int,
        size: int,
        judge: Callable[[int, Sequence[Sequence[Completion]]], Made],
    ):
        self.store, self.keys, self.n, self.size, self.judge = store, keys, n, size, judge
        self.next = 0
        self.judged: dict[int, Future[Made]] = {}  # by the place of the first problem
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="judge")

    def __enter__(self) -> Ahead[Made]:
        return self

    def made(self) -> None:
        """A completion is in the store; it may have been the last of some problems."""
        while self.next < len(self.keys):
            keys = self.keys[self.next : self.next + self.size]
            if any(self.store.missing(key, self.n) for key in keys):
                return
            self.judged[self.next] = self.thread.submit(self._judge, self.next, keys)
            self.next += self.size

    def found(self, start: int) -> Made | None:
        """What the judge made of the problems from this place on; None where it did not come to that."""
        future = self.judged.get(start)
        return None if future is None or future.exception() else future.result()

    def _judge(self, start: int, keys: Sequence[str]) -> Made:
        with self.store.lookup() as lookup:
            rows = [completions_of(lookup, key, self.n, {}) for key in keys]
        return self.judge(start, rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thread.shutdown(cancel_futures=error is not None)
