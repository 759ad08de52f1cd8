"""Work on other machines, given up: by the loop's end, whatever a library makes of a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import CancelledError

import pytest

from r1lab.remote import background
from r1lab.remote.background import Background
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
