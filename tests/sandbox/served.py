"""A sandbox server in a thread of this process, with the real sandbox behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web

from r1lab.sandbox.local import LocalSandbox
from r1lab.sandbox_server.server import SandboxServer
from tests.sandbox.stand_in import cancel_all

Client = httpx.Client


@contextmanager
def serving(server: SandboxServer) -> Iterator[str]:
    """A server that listens on a free port; its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def up() -> tuple[web.AppRunner, int]:
        await server.prepare()
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    async def down() -> None:
        await runner.cleanup()
        await cancel_all()

    runner, port = asyncio.run_coroutine_threadsafe(up(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(down(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSandbox]:
    made = LocalSandbox(workers=2, limits={"seconds": 5, "wall_seconds": 10, "memory": 256 << 20})
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(local: LocalSandbox) -> Iterator[str]:
    with serving(SandboxServer(local)) as found:
        yield found


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with httpx.Client(base_url=url, timeout=60) as made:
        yield made


def execute(client: Client, source: str = "print(input())", language: str = "python", **more: Any) -> Any:
    body = {"language": language, "version": "*", "files": [{"content": source}], **more}
    return client.post("/api/v2/execute", json=body)
