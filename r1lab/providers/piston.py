"""sandbox=piston: Piston servers, or r1lab's own (`task=sandbox_server`), which speak the same.

One request a test: POST /api/v2/execute. A plain program's output comes back and is compared here. Contest submissions
go to the packages cms_ioi and codeforces, which get the expected output along and print a score; they need servers that
have these packages. Requests are spread over all endpoints; one that does not answer is left alone for a while.

Source: https://github.com/engineer-man/piston, docs/api-v2.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from r1lab.config.environment import PISTON_ENDPOINTS, PISTON_PER_ENDPOINT, PISTON_TOKEN, lookup
from r1lab.errors import ConfigError, Finding
from r1lab.providers import discovery
from r1lab.providers.piston_jobs import Job, job_of, limit_of, unknown_runtime
from r1lab.providers.remote import RemoteSandbox
from r1lab.providers.verdicts import failed, stopped
from r1lab.remote.pool import Endpoint, Pool
from r1lab.remote.retrying import Unavailable, delay, seconds_of, tail
from r1lab.sandbox.base import Limits, Outcome, Submission, Test, Verdict

SLURM = "slurm"
CONNECT = 5.0  # seconds to reach a server


@dataclass(eq=False)
class PistonSandbox(RemoteSandbox):
    """Runs programs on Piston servers. A token for them stands in PISTON_TOKEN, never in a config.

    Args:
        endpoints: URLs, or "slurm" for the workers in the queue; None: PISTON_ENDPOINTS, a comma list or `slurm`.
        max_requests_per_endpoint: at once; None: PISTON_MAX_REQUESTS_PER_ENDPOINT, else 1.
        patience: seconds that a request waits while no endpoint answers.
        queue_seconds: that a request may wait at a server, beyond what its limits allow it to run.
    """

    endpoints: list[str] | str | None = None
    max_requests_per_endpoint: int | None = None
    patience: float = 120.0
    queue_seconds: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pool: Pool | None = None
        self._client: httpx.AsyncClient | None = None

    async def _work(self, submission: Submission, tests: list[Test], limits: Limits, stop: bool) -> list[Outcome]:
        await self._ready()
        outcomes: list[Outcome | None] = [None] * len(tests)
        end = len(tests)  # the first test after which none is needed

        async def judge(number: int) -> None:
            nonlocal end
            if number > end:
                return
            outcomes[number] = outcome = await self._judge(submission, tests[number], limits)
            if stop and not outcome.passed:
                end = min(end, number)

        await judge(0)  # alone: what does not compile is sent once
        first = outcomes[0]
        if first is not None and first.verdict is Verdict.REFUSED:
            outcomes = [first] * len(tests)
        elif first is not None and (first.passed or not stop):
            await _others(judge, len(tests), self._at_once())
        done = [item or Outcome(Verdict.SKIPPED) for item in outcomes]
        return stopped(done) if stop else done

    def _at_once(self) -> int:
        assert self._pool is not None
        return len(self._pool.endpoints) * self._pool.per_endpoint

    async def _judge(self, submission: Submission, test: Test, limits: Limits) -> Outcome:
        job = job_of(submission, test, limits)
        try:
            return await self._send(job)
        except Unavailable as failure:
            return failed(failure.cause)

    async def _send(self, job: Job) -> Outcome:
        """Send a job until an endpoint answers it.

        Raises:
            Unavailable: none did.
            ConfigError: no endpoint has the language.
        """
        assert self._pool is not None
        lacking: set[Endpoint] = set()  # endpoints without the language
        last: set[Endpoint] = set()
        attempt = 0
        while True:
            endpoint = await self._pool.acquire({*last, *lacking})
            failure: Unavailable | None = None
            try:
                reply = await self._post(endpoint, job)
                if unknown_runtime(reply):
                    lacking.add(endpoint)
                else:
                    return job.read(reply)
            except Unavailable as caught:
                failure = caught
            finally:
                down = failure is not None and failure.after is None and isinstance(failure.__cause__, httpx.HTTPError)
                await asyncio.shield(self._pool.release(endpoint, down, failure.after if failure else None))
            if failure is None:
                if lacking.issuperset(self._pool.endpoints):
                    raise _lacks(job.language, lacking)
                continue
            attempt, last = attempt + 1, {endpoint}
            if not failure.again or attempt >= self.tries:
                raise failure
            await asyncio.sleep(delay(attempt - 1))

    async def _post(self, endpoint: Endpoint, job: Job) -> dict[str, Any]:
        """One request.

        Raises:
            Unavailable: no answer, or one that is none.
        """
        assert self._client is not None
        whole = job.seconds + self.queue_seconds
        try:
            async with asyncio.timeout(whole):  # however slowly the bytes drip
                timeout = httpx.Timeout(whole, connect=CONNECT)
                response = await self._client.post(f"{endpoint.url}/execute", content=job.body, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{endpoint.url}: {str(error) or type(error).__name__}") from error
        except TimeoutError:
            silent = httpx.ReadTimeout(f"no answer within {whole:.0f} s")
            raise Unavailable(f"{endpoint.url}: {silent}") from silent
        return self._reply(endpoint, response)

    def _reply(self, endpoint: Endpoint, response: httpx.Response) -> dict[str, Any]:
        said = f"{endpoint.url} answered {response.status_code}"
        try:
            reply = json.loads(response.content)
        except ValueError:  # also text that is not UTF-8
            reply = None
        message = str(reply.get("message") or "") if isinstance(reply, dict) else tail(response.text, 200).strip()
        if response.status_code in (401, 403):
            raise Unavailable(f"{said}: it wants a token, {PISTON_TOKEN}. {message}".strip(), again=False)
        if response.status_code == 429 or response.status_code == 503:
            after = seconds_of(response.headers.get("retry-after"))
            raise Unavailable(f"{said}: too much to do. {message}".strip(), after=after or 1.0)
        if response.status_code == 400 and message:
            if isinstance(reply, dict) and unknown_runtime(reply):
                return reply
            raise Unavailable(f"{said}: {message}{limit_of(message)}", again=False)
        if response.status_code != 200:
            raise Unavailable(f"{said}: {message}".rstrip(": "), again=response.status_code >= 500)
        if not isinstance(reply, dict):
            raise Unavailable(f"{said} with something that is not a JSON object: {message!r}")
        return reply

    async def _ready(self) -> None:
        if self._client is None:
            token = lookup(PISTON_TOKEN)
            headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
            many = httpx.Limits(max_connections=None, max_keepalive_connections=256)
            self._client = httpx.AsyncClient(headers=headers, limits=many, trust_env=False)
        if self._pool is None:
            urls, discover = self._endpoints()
            per_endpoint = self.max_requests_per_endpoint or int(lookup(PISTON_PER_ENDPOINT) or 1)
            self._pool = Pool(urls, per_endpoint, discover, self.patience)

    def _endpoints(self) -> tuple[list[str], Callable[[], list[str]] | None]:
        """This process's endpoints, and how to find others."""
        given = endpoints_given(self.endpoints)

        def mine() -> list[str]:
            return discovery.share(discovery.slurm_endpoints(), *discovery.place())

        if given == [SLURM]:
            return mine(), mine
        return discovery.share(sorted(set(map(api_of, given))), *discovery.place()), None

    async def _free(self) -> None:
        client, self._client, self._pool = self._client, None, None
        if client is not None:
            await client.aclose()


async def _others(judge: Callable[[int], Awaitable[None]], count: int, at_once: int) -> None:
    """Judge tests 1 to `count` in order, so many at once; where one raises, no other goes on."""
    numbers = iter(range(1, count))

    async def worker() -> None:
        for number in numbers:
            await judge(number)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(count, at_once)):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def endpoints_given(endpoints: list[str] | str | None) -> list[str]:
    """The endpoints of a config, or of PISTON_ENDPOINTS where it has none: URLs, or "slurm" alone.

    Raises:
        ConfigError: neither has any.
    """
    given = endpoints or lookup(PISTON_ENDPOINTS) or ""
    listed = [item.strip() for item in (given.split(",") if isinstance(given, str) else map(str, given))]
    if found := [item for item in listed if item]:
        return found
    fix = f"export {PISTON_ENDPOINTS}=http://HOST:PORT,… or =slurm; a server: python -m r1lab task=sandbox_server"
    raise ConfigError([Finding("sandbox=piston has no endpoint", "sandbox.endpoints", fix=fix)])


def api_of(endpoint: str) -> str:
    """The URL of an endpoint's API: `host:2000` and `http://host:2000/` mean http://host:2000/api/v2."""
    url = endpoint.rstrip("/")
    url = url if "://" in url else f"http://{url}"
    return url if url.partition("://")[2].count("/") else f"{url}/api/v2"


def _lacks(language: str, endpoints: set[Endpoint]) -> ConfigError:
    urls = ", ".join(sorted(item.url for item in endpoints))
    fix = f"install its package on every server: POST /api/v2/packages; or endpoints that have {language}"
    return ConfigError([Finding(f"no Piston endpoint runs {language}", urls, fix=fix)])
