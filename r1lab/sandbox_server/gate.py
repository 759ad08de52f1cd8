"""How much a server takes on at once: so many jobs run, so many wait, the rest is sent away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

Result = TypeVar("Result")


class Full(Exception):
    """As many jobs wait as may."""


class Closing(Exception):
    """The server is about to stop."""


class Gate:
    """Seats for jobs. For one event loop.

    Args:
        parallel: jobs that run at once.
        queue: jobs that may wait besides.
    """

    def __init__(self, parallel: int, queue: int):
        self.parallel, self.queue = parallel, queue
        self.held = 0  # by jobs that run or wait
        self.closing = False
        self._running = asyncio.Semaphore(parallel)
        self._empty = asyncio.Event()
        self._empty.set()

    def look(self, seats: int = 1) -> None:
        """Whether there is a place, without taking one.

        Raises:
            Full: there are not so many.
            Closing: the server takes nothing on any more.
        """
        if self.closing:
            raise Closing
        if self.held + seats > self.parallel + self.queue:
            raise Full

    @asynccontextmanager
    async def place(self, seats: int = 1) -> AsyncIterator[None]:
        """Hold places in the queue, for as long as a job lasts. Raises as `look` does."""
        self.look(seats)
        self.held += seats
        self._empty.clear()
        try:
            yield
        finally:
            self.held -= seats
            if not self.held:
                self._empty.set()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run blocking work in a thread when its turn comes.

        Raises:
            Closing: the server began to stop before.
        """
        async with self._running:
            if self.closing:
                raise Closing
            return await in_thread(work)

    async def close(self, seconds: float) -> bool:
        """Take nothing on any more and wait for what runs; whether all of it came to its end in time."""
        self.closing = True
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in a thread that does not keep the process alive."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        try:
            result, error = work(), None
        except BaseException as caught:  # noqa: BLE001 - raised again where it is awaited
            result, error = None, caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=body, name="sandbox-job", daemon=True).start()
    return await done
