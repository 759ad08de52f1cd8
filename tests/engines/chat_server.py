"""A server of OpenAI's chat API that answers as a test tells it to, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

Answer = Callable[[dict[str, Any], int], Any]  # the request, how many came before it → what to reply


def completion(text: str | None, finish: str = "stop", tokens: int = 3, **message: Any) -> dict[str, Any]:
    """A reply with one completion."""
    return {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": tokens},
    }


class ChatServer:
    """Runs in a thread; `answer` returns a reply, (status, body, headers), "hang", "drop", or text that is no JSON."""

    def __init__(self, answer: Answer, models: tuple[str, ...] = ("tiny",), port: int = 0):
        self.answer, self.models = answer, models
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.most = self.now = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(port), self.loop).result()
        self.url = f"http://127.0.0.1:{self.port}/v1"

    async def _start(self, port: int) -> int:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", port)
        await site.start()
        return int(self.runner.addresses[0][1])

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name} for name in self.models]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        place = len(self.requests)
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization"))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            said = self.answer(body, place)
            if asyncio.iscoroutine(said):
                said = await said
            if said == "hang":
                await asyncio.sleep(60)
            if said == "drop":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            if isinstance(said, tuple):
                return web.Response(
                    status=said[0], text=json.dumps(said[1]), headers=said[2] if len(said) > 2 else None
                )
            return web.Response(text=said) if isinstance(said, str) else web.json_response(said)
        finally:
            self.now -= 1

    def close(self) -> None:
        """Stop serving."""
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
