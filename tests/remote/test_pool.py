"""Servers that share work: how long one that fails is left alone, and when all of them are given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import pytest

from r1lab.remote import pool as module
from r1lab.remote.pool import Pool
from r1lab.remote.retrying import Unavailable, delay


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST", 0.05)
    monkeypatch.setattr(module, "LONGEST_REST", 0.4)


def within(seconds: float, work: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, seconds)

    asyncio.run(bounded())


def test_all_that_fail_together_are_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that dies takes every request under way along, and is looked for soon, not after the longest rest."""

    async def work() -> None:
        pool = Pool(["http://a"], 2000, patience=5.0)
        taken = [await pool.acquire() for _ in range(2000)]
        for endpoint in taken:
            await pool.release(endpoint, failed=True)
        assert taken[0].failures == 1
        taken[0].rests_until = 0.0
        again = await pool.acquire()
        await pool.release(again, failed=True)
        assert taken[0].failures == 2

    monkeypatch.setattr(module, "REST", 60.0)
    within(30, work())


def test_a_server_that_asks_for_a_rest_is_not_one_that_does_not_answer() -> None:
    async def work() -> None:
        pool = Pool(["http://a"], 4, patience=0.05)
        await pool.release(await pool.acquire(), rest=0.3)
        began = time.monotonic()
        await pool.acquire()
        assert time.monotonic() - began >= 0.25

    within(5, work())


def test_servers_that_stay_away_are_given_up_however_often_they_are_tried() -> None:
    """Rests stay below the patience here, so every wait ends in a try before it ends in giving up."""

    async def work() -> None:
        pool, began, ends = Pool(["http://a", "http://b"], 8, patience=1.0), time.monotonic(), []

        async def worker() -> None:
            since = time.monotonic()
            while True:
                try:
                    endpoint = await pool.acquire(since=since)
                except Unavailable as error:
                    ends.append((time.monotonic() - began, error.cause))
                    return
                await asyncio.sleep(0.001)
                await pool.release(endpoint, failed=True)

        await asyncio.gather(*(worker() for _ in range(8)))
        assert {cause for _, cause in ends} == {"no endpoint answers: http://a, http://b"}
        assert min(ends)[0] >= 1.0

    within(20, work())


def test_a_wait_that_begins_long_after_the_last_failure_has_its_whole_patience() -> None:
    async def work() -> None:
        pool = Pool(["http://a"], 1, patience=0.3)
        await pool.release(await pool.acquire(), failed=True)
        await asyncio.sleep(0.5)
        await pool.release(await pool.acquire(), failed=True)
        endpoint = await pool.acquire()  # silent for longer than 0.3 s, but nobody has waited
        await pool.release(endpoint)
        assert endpoint.failures == 0

    within(5, work())


@pytest.mark.parametrize("attempt", [2000, 10**6])
def test_the_wait_between_many_tries_is_a_number(attempt: int) -> None:
    assert 0 < delay(attempt) <= 15
