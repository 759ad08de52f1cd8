"""A web server in a thread, in the place of a provider: it records what it is sent and answers as a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StandIn:
    """A server on a free port of this machine.

    Args:
        handler: answers every request.
    """

    def __init__(self, handler: Handler):
        self.handler = handler
        self.seen: list[tuple[str, str, bytes]] = []  # method, path, body
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self.open = 0  # requests that are being answered
        self.most = 0  # of them at once
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Listen, on the same port as before if it listened already."""
        asyncio.run_coroutine_threadsafe(self._up(), self._loop).result(10)

    def down(self) -> None:
        """Listen no more: connections are refused."""
        asyncio.run_coroutine_threadsafe(self._down(), self._loop).result(10)

    def close(self) -> None:
        self.down()
        asyncio.run_coroutine_threadsafe(cancel_all(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _up(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = b"" if request.content_type.startswith("multipart/") else await request.read()
        self.seen.append((request.method, request.path, body))
        self.headers.append(dict(request.headers))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            return await self.handler(request)
        finally:
            self.open -= 1


async def cancel_all() -> None:
    """Cancel every task of this loop but this one, and see them end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def standing_in(handler: Handler) -> Iterator[StandIn]:
    """A `StandIn` that listens."""
    server = StandIn(handler)
    server.up()
    try:
        yield server
    finally:
        server.close()


def ran(stdout: str = "", stderr: str = "", code: int | None = 0, **more: Any) -> dict[str, Any]:
    """A stage as Piston tells it."""
    return {"stdout": stdout, "stderr": stderr, "output": stdout + stderr, "code": code, "signal": None, **more}


def reply(run: dict[str, Any], compiled: dict[str, Any] | None = None, language: str = "python") -> dict[str, Any]:
    """What Piston answers to a job."""
    stages = {"run": run} if compiled is None else {"compile": compiled, "run": run}
    return {**stages, "language": language, "version": "3.12.0"}


async def cut(request: web.Request) -> web.StreamResponse:
    """Begin an answer and break the connection in the middle of it."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"run": {"stdout": "6')
    assert request.transport is not None
    request.transport.abort()
    return response
