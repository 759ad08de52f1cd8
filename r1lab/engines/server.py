"""Completions from servers that speak OpenAI's chat API: vLLM, SGLang, or anything else with /v1/chat/completions.

Each completion is a request of its own, with a seed that follows from the run's seed, the prompt and its index, so that
a run that is resumed, or asked for more, gets what it would have got. What goes wrong is tried again with back-off and
then recorded as what it was; a failure never looks like an empty answer.

Source: https://platform.openai.com/docs/api-reference/chat, https://docs.vllm.ai (OpenAI-compatible server).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp

from r1lab.engines.base import Completion, Conversation, OnCompletion, OnProgress, Sampling
from r1lab.engines.chat import body_of, completion_of
from r1lab.errors import EngineError
from r1lab.remote.background import Background
from r1lab.remote.pool import Endpoint, Pool
from r1lab.remote.retrying import Unavailable, delay, seconds_of
from r1lab.wording import nearest, some

log = logging.getLogger("r1lab")
Work = tuple[int, int]  # the prompt's place, the completion's index
TOO_LONG = ("maximum context length", "context length", "max_model_len", "longer than the maximum model length")
PASSING = (408, 409, 425, 429)  # and all from 500 on: another try may go better
AWAY = (502, 503)  # what a gateway says whose server is away, or a server that is not ready
SHOWN = 300  # characters of a server's words
CONNECT = 10.0  # seconds to reach a server
OTHERS = 10.0  # seconds that the other servers have to say what they serve once one has
ROOT = "http://HOST:PORT/v1"
KEY_FIX = "a server that asks for a key reads it from R1LAB_ENGINE_KEY, in the environment or .env"
GO_ON = "what was made is kept, and the same command with resume=FOLDER goes on"
Result = TypeVar("Result")


class ServerEngine:
    """Completions from one or several servers of the same model.

    Args:
        urls: of the servers, up to and with /v1.
        model: as the servers call it; None: the one that they serve.
        api_key: sent as a bearer token.
        in_flight: requests that each server has at once.
        tries: of a completion before its failure is recorded.
        timeout: seconds for one completion.
        patience: seconds without any server before the run ends.
        extra: what every request says besides, such as the tokens that end a completion.
        gone: tells why there is no server any more, "" while there is one; for one that this process started.
    """

    def __init__(
        self,
        urls: Sequence[str],
        model: str | None = None,
        *,
        api_key: str | None = None,
        in_flight: int = 64,
        tries: int = 6,
        timeout: float = 900.0,
        patience: float = 120.0,
        extra: Mapping[str, Any] | None = None,
        gone: Callable[[], str] | None = None,
    ):
        self.urls = [url.rstrip("/") for url in urls]
        self.extra, self.gone = dict(extra or {}), gone
        self.model = model
        self.in_flight, self.tries, self.timeout, self.patience = in_flight, tries, timeout, patience
        self.headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.background = Background()

    def generate(
        self,
        prompts: Sequence[Conversation],
        sampling: Sampling,
        on_progress: OnProgress | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`.

        Raises:
            EngineError: no server answers, or none serves the model.
        """
        results: dict[Work, Completion] = {}
        done = 0

        def keep(place: int, index: int, completion: Completion) -> None:
            nonlocal done
            done += 1
            if on_completion:
                on_completion(place, index, completion)
            else:
                results[place, index] = completion
            if on_progress:
                on_progress(done, len(prompts) * sampling.n)

        indices = range(sampling.first, sampling.first + sampling.n)
        work = ((place, index) for place in range(len(prompts)) for index in indices)
        self.background.call(self._generate(prompts, sampling, work, keep))
        return [] if on_completion else [[results[place, j] for j in indices] for place in range(len(prompts))]

    def close(self) -> None:
        """End what is running."""
        self.background.close()

    def served(self) -> dict[str, Any]:
        """What the servers say of the model: `id`, and where they tell, `root` and `max_model_len`.

        Raises:
            EngineError: none answers within `patience`, or one serves another model, or several where none is chosen.
        """
        return self.background.call(self._with_session(self._served))

    async def _with_session(self, work: Callable[[aiohttp.ClientSession], Awaitable[Result]]) -> Result:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=self.timeout, sock_connect=CONNECT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self.headers) as session:
            return await work(session)

    async def _generate(
        self, prompts: Sequence[Conversation], sampling: Sampling, work: Iterator[Work], keep: OnCompletion
    ) -> None:
        """As many workers as requests may be in flight take the work one by one; the first failure ends them all."""

        async def everybody(session: aiohttp.ClientSession) -> None:
            self.model = self.model or str((await self._served(session))["id"])
            pool = Pool(self.urls, self.in_flight, patience=self.patience)
            client = _Client(session, pool, self.model, self)

            async def worker() -> None:
                for place, index in work:
                    keep(place, index, await client.complete(prompts[place], sampling, index))

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.in_flight * len(self.urls)):
                        group.create_task(worker())
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

        await self._with_session(everybody)

    async def _served(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """What the servers say of the model, which is the same one on all that answer."""
        asked = {url: asyncio.create_task(self._told(session, url)) for url in self.urls}
        await asyncio.wait(asked.values(), return_when=asyncio.FIRST_COMPLETED)
        _, late = await asyncio.wait(asked.values(), timeout=OTHERS)
        for task in late:
            task.cancel()
        found: dict[str, dict[str, Any]] = {}  # address → models
        causes = {}
        for url, task in asked.items():
            try:
                found |= {} if task in late else {url: task.result()}
            except Unavailable as error:
                causes[url] = error.cause
        if not found:
            fix = f"start it, or engine.urls=[{ROOT}] of another one"
            raise EngineError(f"{next(iter(causes.values()))}\n    fix      {fix}")
        for url in asked.keys() - found.keys():
            log.warning("%s does not say what it serves; the others begin without it", url)
        first, served = next(iter(found.items()))
        name = self.model or (next(iter(served)) if len(served) == 1 else "")
        if not name:
            what = f"{first}/models serves {len(served)} models: {some(served)}"
            raise EngineError(f"{what}\n    fix      engine.model=NAME")
        for url, models in found.items():
            if name not in models:
                close = nearest(name, models)
                what = f"{url}/models does not serve {name!r} but {some(models)}"
                raise EngineError(what + (f"\n    nearest  engine.model={close}" if close else ""))
        return served[name]

    async def _told(self, session: aiohttp.ClientSession, server: str) -> dict[str, dict[str, Any]]:
        """What one server says of its models, by their names.

        Raises:
            Unavailable: it does not say so within `patience`.
            EngineError: it is no such server, does not know us, or has ended.
        """
        url, began, attempt = f"{server}/models", time.monotonic(), 0
        while True:
            try:
                async with session.get(url) as reply:
                    status, raw = reply.status, await reply.read()
                if status in (401, 403):
                    raise EngineError(f"{url} refuses (HTTP {status})\n    fix      {KEY_FIX}")
                if 400 <= status < 500 and status not in PASSING:
                    raise EngineError(f"{url} is not there (HTTP {status})\n    fix      engine.urls=[{ROOT}]")
                if status != 200:
                    raise ValueError(f"HTTP {status}")
                return {str(item["id"]): dict(item) for item in json.loads(raw)["data"]}
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, RecursionError) as error:
                cause = f"{type(error).__name__} {error}".strip()
            if cause_of_end := self.gone and self.gone():
                raise EngineError(cause_of_end)
            if time.monotonic() - began >= self.patience:
                raise Unavailable(f"{url} does not say what it serves: {cause}")
            await asyncio.sleep(min(delay(attempt), self.patience))
            attempt += 1


class Down(Unavailable):
    """A server that cannot be reached, or that hangs up."""


class _Client:
    """One model on a pool of servers, for one event loop."""

    def __init__(self, session: aiohttp.ClientSession, pool: Pool, model: str, engine: ServerEngine):
        self.session, self.pool, self.model = session, pool, model
        self.tries, self.extra, self.gone = engine.tries, engine.extra, engine.gone

    async def complete(self, prompt: Conversation, sampling: Sampling, index: int) -> Completion:
        """One completion; after the last try a record of what went wrong.

        Raises:
            EngineError: no server answers any more, or the model is not there.
        """
        body = body_of(self.model, prompt, sampling, index) | self.extra
        failure, began = Unavailable("not tried"), time.monotonic()
        for attempt in range(self.tries):
            try:
                endpoint = await self.pool.acquire(since=began)
            except Unavailable as error:
                raise EngineError(f"{error.cause}\n    fix      start it again; {GO_ON}") from None
            try:
                completion = await self._ask(endpoint, body)
            except Unavailable as error:
                failure = error
                if isinstance(error, Down) and self.gone and (cause := self.gone()):
                    raise EngineError(f"{cause}\n    fix      {GO_ON}") from None
                down = isinstance(error, Down) and error.after is None
                await self.pool.release(endpoint, failed=down, rest=error.after)
                if not error.again:
                    break
                await asyncio.sleep(delay(attempt, error.after))
                continue
            except BaseException:
                await self.pool.release(endpoint)
                raise
            await self.pool.release(endpoint)
            if completion.finish != "refusal" or attempt == self.tries - 1:
                return completion
        finish = "overflow" if any(words in failure.cause for words in TOO_LONG) else "error"
        return Completion("", 0, finish, error=failure.cause)

    async def _ask(self, endpoint: Endpoint, body: dict[str, Any]) -> Completion:
        """One request.

        Raises:
            Unavailable: it was not answered, or not by a completion.
            EngineError: the server does not have the model, or does not know us.
        """
        try:
            async with self.session.post(f"{endpoint.url}/chat/completions", json=body) as reply:
                raw = await reply.read()
                status, after = reply.status, seconds_of(reply.headers.get("Retry-After"))
                if reply.method != "POST":  # 301 and 302 lose what was asked on the way
                    fix = f"engine.urls=[…], as {reply.url} answers"
                    raise EngineError(f"{endpoint.url} redirects to {reply.url}\n    fix      {fix}")
        except aiohttp.ConnectionTimeoutError:
            raise Down(f"{endpoint.url}: no connection within {self.session.timeout.sock_connect:.0f} s") from None
        except TimeoutError:
            raise Unavailable(f"{endpoint.url}: no completion within {self.session.timeout.total:.0f} s") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Down(f"{endpoint.url}: {type(error).__name__} {error}".strip()) from None
        words = raw[: 4 * SHOWN].decode(errors="replace")[:SHOWN]
        if status in (401, 403, 404):
            raise EngineError(
                f"{endpoint.url} refuses (HTTP {status}): {words}\n    fix      engine.model=NAME; {KEY_FIX}"
            )
        if status != 200:
            again = status in PASSING or status >= 500
            raise (Down if status in AWAY else Unavailable)(f"HTTP {status}: {words}", again=again, after=after)
        try:
            return completion_of(json.loads(raw))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            raise Unavailable(f"the answer is no completion: {words}") from None
