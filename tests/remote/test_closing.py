"""Work on other machines, given up: by the loop's end, whatever a library makes of a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import CancelledError

import pytest

from r1lab.remote import background
from r1lab.remote.background import Background
from r1lab.remote.pool import Pool
from r1lab.remote.retrying import Unavailable, retried


def closed_during(work: object, loop: Background, begun: threading.Event) -> list[object]:
    """What a caller finds whose work was under way when the loop was closed."""
    found: list[object] = []

    def call() -> None:
        try:
            found.append(loop.call(work))  # type: ignore[arg-type]
        except CancelledError:
            found.append("cancelled")

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(30)
    loop.close()
    thread.join(30)
    return found


def test_a_cancellation_that_a_library_makes_a_failure_of_is_not_tried_again() -> None:
    begun, tries = threading.Event(), []

    async def once() -> str:
        tries.append(1)
        if len(tries) > 1:
            return "done after all"
        try:
            begun.set()
            await asyncio.sleep(30)
        except asyncio.CancelledError as error:
            raise Unavailable("the connection was closed") from error
        return "slept"

    assert closed_during(retried(once, 5), Background(), begun) == ["cancelled"]
    assert tries == [1]


def test_a_cancellation_that_gets_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN", 0.05)
    begun = threading.Event()

    async def deaf() -> str:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        await asyncio.sleep(30)
        return "slept"

    assert closed_during(deaf(), Background(), begun) == ["cancelled"]


def test_what_is_given_back_on_the_way_out_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN", 0.05)
    begun, given_back = threading.Event(), []

    async def give_back() -> None:
        await asyncio.sleep(0.3)  # longer than AGAIN
        given_back.append(1)

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.shield(give_back())

    assert closed_during(work(), Background(), begun) == ["cancelled"]
    assert given_back == [1]


def test_many_that_wait_for_an_endpoint_are_given_up() -> None:
    """A server dies with the same signal that interrupts its clients: all of them wait, and all at once must not."""
    begun, waiting = threading.Event(), []

    async def everybody() -> None:
        pool = Pool(["http://down"], per_endpoint=4, patience=60.0)
        await pool.release(await pool.acquire(), failed=True)

        async def worker() -> None:
            waiting.append(1)
            if len(waiting) == 32:
                asyncio.get_running_loop().call_later(0.2, begun.set)
            await pool.acquire()

        async with asyncio.TaskGroup() as group:
            for _ in range(32):
                group.create_task(worker())

    loop = Background()
    closing = threading.Thread(target=closed_during, args=(everybody(), loop, begun), daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_a_request_waits_for_the_first_endpoint_that_is_given_back() -> None:
    async def work() -> list[str]:
        pool, order = Pool(["http://one"], per_endpoint=1), list[str]()
        first = await pool.acquire()

        async def second() -> None:
            order.append((await pool.acquire()).url)

        waits = asyncio.create_task(second())
        await asyncio.sleep(0.05)
        order.append("still held")
        await pool.release(first)
        await asyncio.wait_for(waits, 10)
        return order

    assert asyncio.run(work()) == ["still held", "http://one"]
