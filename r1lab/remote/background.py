"""An event loop in a thread of its own, behind callers whose interface is synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

Result = TypeVar("Result")
AGAIN = 2.0  # seconds after which a task that lost its cancellation, in a library, is cancelled again


class Background:
    """Runs coroutines for any thread that asks. The loop starts with the first, and again after `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop and wait for it; an interrupt of this thread cancels it.

        Raises:
            CancelledError: `close` was called meanwhile.
        """
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="r1lab-remote", daemon=True)
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Coroutine[Any, Any, None] | None = None) -> None:
        """Cancel everything that runs, do `last`, and end the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            if last is not None:
                last.close()
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(last), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all(last: Coroutine[Any, Any, None] | None) -> None:
    me = asyncio.current_task()
    running = asyncio.all_tasks() - {me}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN)
    if shielded := asyncio.all_tasks() - {me}:  # what tasks give back on their way out
        await asyncio.wait(shielded)
    if last is not None:
        await last
    await asyncio.get_running_loop().shutdown_default_executor()
