"""Several servers that do the same: requests in turn to the least busy one, and none to one that is down."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from r1lab.errors import ConfigError
from r1lab.remote.retrying import Unavailable

log = logging.getLogger("r1lab")
REST = 2.0  # seconds that an endpoint is left alone after its first failure in a row; doubled with each further one
LONGEST_REST, DOUBLINGS = 60.0, 10
LOOK_AGAIN = 10.0  # seconds between two looks for other endpoints while none of the known ones answers


@dataclass(eq=False)
class Endpoint:
    """One server.

    Args:
        url: of its API, without a slash at the end.
        busy: requests that it works on now.
        failures: in a row.
        rests_until: on the monotonic clock; it gets no request before.
    """

    url: str
    busy: int = 0
    failures: int = 0
    rests_until: float = 0.0


class Pool:
    """Endpoints, each with at most `per_endpoint` requests at once. For one event loop.

    Args:
        urls: of the endpoints.
        per_endpoint: requests at once.
        discover: finds endpoints anew when all known ones are down; None where they are a fixed list.
        patience: seconds that a request may wait while no endpoint is up.
    """

    def __init__(
        self,
        urls: Iterable[str],
        per_endpoint: int,
        discover: Callable[[], list[str]] | None = None,
        patience: float = 120.0,
    ):
        self.endpoints = [Endpoint(url) for url in urls]
        self.per_endpoint, self.discover, self.patience = per_endpoint, discover, patience
        self._waiting: set[asyncio.Future[None]] = set()
        self._looked = -math.inf
        self._silent: float | None = None  # since when none has answered, not even to ask for a rest

    async def acquire(self, avoid: Iterable[Endpoint] = (), since: float | None = None) -> Endpoint:
        """The least busy endpoint that is up, once there is one with room; give it back with `release`.

        Args:
            avoid: endpoints to take only where there is no other.
            since: when the work was first tried, on the monotonic clock; now if it was not.

        Raises:
            Unavailable: none has answered for `patience` seconds.
        """
        avoided = set(avoid)
<<<<<<< HEAD
        gives_up = None
        while True:
            now = time.monotonic()
            up = [item for item in self.endpoints if item.rests_until <= now]
            free = [item for item in up if item.busy < self.room(item)]
            if preferred := [item for item in free if item not in avoided] or free:
                least = min(item.busy for item in preferred)
                chosen = random.choice([item for item in preferred if item.busy == least])
                chosen.busy += 1
                return chosen
            if up:
                gives_up = None
            else:
                gives_up = gives_up or now + self.patience
                if now >= gives_up:
                    raise Unavailable(f"no endpoint answers: {', '.join(item.url for item in self.endpoints)}")
                if await self._look(now):
=======
        since = time.monotonic() if since is None else since
        async with self._changed:
            while True:
                now = time.monotonic()
                up = [item for item in self.endpoints if item.rests_until <= now]
                free = [item for item in up if item.busy < self.room(item)]
                if preferred := [item for item in free if item not in avoided] or free:
                    least = min(item.busy for item in preferred)
                    chosen = random.choice([item for item in preferred if item.busy == least])
                    chosen.busy += 1
                    return chosen
                soonest = min((item.rests_until for item in self.endpoints if item.rests_until > now), default=now + 1)
                if not up and self._silent is not None:
                    gives_up = max(self._silent, since) + self.patience
                    if now >= gives_up:
                        raise Unavailable(f"no endpoint answers: {', '.join(item.url for item in self.endpoints)}")
                    if await self._look(now):
                        continue
                    soonest = min(soonest, gives_up)
                try:
                    async with asyncio.timeout(max(0.01, soonest - now)):  # wait_for may lose a cancellation (3.11)
                        await self._changed.wait()
                except TimeoutError:
>>>>>>> main
                    continue
            soonest = min((item.rests_until for item in self.endpoints if item.rests_until > now), default=now + 1)
            await self._change(max(0.01, min(soonest, gives_up or soonest) - now))

    async def _change(self, longest: float) -> None:
        """Until an endpoint is given back, or for so many seconds.

        No condition and no lock: a waiter of those that is cancelled twice, as a group's are, may leave the lock taken.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=longest)
        finally:
            self._waiting.discard(waiter)

    def room(self, endpoint: Endpoint) -> int:
        """Requests that an endpoint may have at once: one, to try it, after a failure."""
        return 1 if endpoint.failures else self.per_endpoint

    async def release(self, endpoint: Endpoint, failed: bool = False, rest: float | None = None) -> None:
        """Give an endpoint back.

        Args:
            endpoint: as `acquire` gave it.
            failed: whether it did not answer, so that it is left alone for a while.
            rest: seconds that it asked to be left alone.
        """
<<<<<<< HEAD
        endpoint.busy -= 1
        if failed:
            endpoint.failures += 1
            pause = min(LONGEST_REST, REST * 2 ** (endpoint.failures - 1))
            endpoint.rests_until = time.monotonic() + pause * random.uniform(0.75, 1.0)
            log.warning("endpoint %s does not answer; tried again in %.0f s", endpoint.url, pause)
        elif rest:
            endpoint.rests_until = time.monotonic() + min(rest, LONGEST_REST)
        else:
            endpoint.failures = 0
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
=======
        async with self._changed:
            endpoint.busy -= 1
            now = time.monotonic()
            if failed and endpoint.failures and endpoint.rests_until > now:
                pass  # all that were under way fail with a server that dies: that is one failure
            elif failed:
                endpoint.failures += 1
                pause = min(LONGEST_REST, REST * 2 ** min(endpoint.failures - 1, DOUBLINGS))
                endpoint.rests_until = now + pause * random.uniform(0.75, 1.0)
                log.warning("endpoint %s does not answer; tried again in %.0f s", endpoint.url, pause)
            elif rest:
                endpoint.failures = 0
                endpoint.rests_until = max(endpoint.rests_until, now + min(rest, LONGEST_REST))
            else:
                endpoint.failures = 0
            if not all(item.failures for item in self.endpoints):
                self._silent = None
            elif self._silent is None:
                self._silent = now
            self._changed.notify_all()
>>>>>>> main

    async def _look(self, now: float) -> bool:
        """Look for endpoints that are not known yet; whether there are any."""
        if self.discover is None or now - self._looked < LOOK_AGAIN:
            return False
        self._looked = now
        try:
            found = await asyncio.to_thread(self.discover)
        except ConfigError as error:
            log.warning("no new endpoints: %s", error)
            return False
        known = {item.url: item for item in self.endpoints}
        new = [url for url in found if url not in known]
        kept = [known[url] for url in found if url in known]
        if found:
            self.endpoints = [*kept, *map(Endpoint, new)]
        if new:
            self._silent = None
        return bool(new)
