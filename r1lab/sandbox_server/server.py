"""A sandbox over HTTP: Piston's API v2 and the API of Open-R1's routers, in one server.

    POST /api/v2/execute       one job: a plain program, or one of the packages cms_ioi and codeforces
    GET  /api/v2/runtimes      the languages of this machine
    GET  /api/v2/packages      the same as packages; POST and DELETE switch one on and off
    POST /execute_batch        scripts, each as a notebook's cell
    GET  /health               whether it is up, and how busy

It leaves out Piston's websocket and its package repository. Run it with `python -m r1lab task=sandbox_server`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from r1lab.errors import ConfigError, R1labError
from r1lab.providers.verdicts import Verdict
from r1lab.sandbox.languages import LANGUAGES, available, find, version_of
from r1lab.sandbox.local import LocalSandbox
from r1lab.sandbox_server import cells, contests, jobs
from r1lab.sandbox_server.gate import Closing, Full, Gate, in_thread
from r1lab.sandbox_server.jobs import BadJob, Most
from r1lab.sandbox_server.versions import satisfies

log = logging.getLogger("r1lab")
LARGE = 1 << 20  # bytes of JSON that are parsed in a thread
SILENCE, READING = 30.0, 120.0  # seconds that a request's body may pause, and may take in all
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(eq=False)
class SandboxServer:
    """The web application around a sandbox.

    Args:
        sandbox: runs the programs.
        parallel: jobs at once; None: one per box of the sandbox.
        queue: jobs that may wait besides; more are answered with 429.
        max_body: bytes of a request.
        most: what a job may ask for.
        script_seconds: the most that a script of a batch may have.
        token: that a request must bring, `Authorization: Bearer TOKEN`; None: nobody needs one.
        silence, reading: seconds that a request's body may pause, and may take in all.
    """

    sandbox: LocalSandbox
    parallel: int | None = None
    queue: int = 1024
    max_body: int = 512 << 20
    most: Most = field(default_factory=Most)
    script_seconds: float = 300.0
    token: str | None = None
    silence: float = SILENCE
    reading: float = READING

    def __post_init__(self) -> None:
        self.gate = Gate(self.parallel or self.sandbox.workers, self.queue)
        self.off: set[str] = set()  # packages that were taken away
        self.runtimes: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        """The application, for `aiohttp.web`."""
        app = web.Application(client_max_size=self.max_body, middlewares=[self._answered])
        app.add_routes(
            [
                web.get("/", self._hello),
                web.get("/health", self._health),
                web.post("/execute_batch", self._batch),
                web.post("/api/v2/execute", self._execute),
                web.get("/api/v2/runtimes", self._runtimes),
                web.get("/api/v2/packages", self._packages),
                web.post("/api/v2/packages", self._install),
                web.delete("/api/v2/packages", self._uninstall),
            ]
        )
        return app

    async def prepare(self) -> None:
        """Find out what this machine has; before the first request."""
        found = [language for language in LANGUAGES if available(language)]
        for language in found:
            version = await in_thread(lambda chosen=language: version_of(chosen))  # type: ignore[misc]
            self.runtimes.append({"language": language.name, "version": version, "aliases": list(language.aliases)})
        self.runtimes += contests.runtimes()

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every answer as JSON, errors too."""
        try:
            if self.token and request.path not in ("/", "/health"):
                given = request.headers.get("Authorization", "").encode("utf-8", "replace")
                if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
                    return _said(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
            json_given = request.content_type == "application/json"
            if request.method not in ("GET", "HEAD", "OPTIONS") and not json_given:
                return _said(415, "requests must be of type application/json")
            return await handler(request)
        except BadJob as error:
            return _said(error.status, str(error), {"Connection": "close"} if error.status == 408 else None)
        except ConfigError as error:
            return _said(400, error.findings[0].text())
        except Full:
            return _said(429, f"{self.gate.held} jobs run or wait; this is all that may", {"Retry-After": "1"})
        except Closing:
            return _said(503, "the server is about to stop", {"Connection": "close", "Retry-After": "1"})
        except web.HTTPRequestEntityTooLarge:
            return _said(413, f"the request is larger than {self.max_body} bytes")
        except web.RequestPayloadError as error:
            return _said(400, f"the request's body cannot be read: {str(error)[:200]}", {"Connection": "close"})
        except ConnectionError:
            return _said(400, "the client has gone", {"Connection": "close"})
        except web.HTTPException as error:
            return _said(error.status, error.reason)
        except R1labError as error:
            log.error("%s", error)
            return _said(500, str(error))

    async def _hello(self, _request: web.Request) -> web.Response:
        return web.json_response({"message": "r1lab sandbox server; speaks Piston v2"})

    async def _health(self, _request: web.Request) -> web.Response:
        gate = self.gate
        status = "closing" if gate.closing else "ok"
        return web.json_response({"status": status, "jobs": gate.held, "parallel": gate.parallel, "queue": gate.queue})

    async def _execute(self, request: web.Request) -> web.Response:
        self.gate.look()
        content = await self._body(request)
        async with self.gate.place():
            job = jobs.read(await _json(content), self.sandbox.limits, self.most)
            package = contests.package_of(job.language, job.files)
            runtime = self._runtime(job.language, job.version, package)
            if package:
                submission, test, limits = contests.submission_of(job, self.most)
                (outcome,) = await self._turn(request, lambda: self.sandbox.run(submission, [test], limits))
                if outcome.verdict is Verdict.INFRASTRUCTURE:
                    return _said(500, outcome.detail)
                stages = contests.stages(outcome, limits, contests.judged(submission, test))
            else:
                name = runtime["language"]
                known = find(name)
                jobs.beside(job.files, known.file, known.made if known.compile else None)
                done = await self._turn(
                    request, lambda: self.sandbox.execute(name, job.files, job.args, job.stdin, job.limits)
                )
                if failure := [item.failure for item in (done.compile, done.run) if item and item.failure]:
                    return _said(500, failure[0])
                stages = {} if done.compile is None else {"compile": jobs.stage(done.compile)}
                last = done.run or done.compile
                assert last is not None
                stages["run"] = jobs.stage(last)
            return web.json_response({**stages, "language": runtime["language"], "version": runtime["version"]})

    async def _body(self, request: web.Request) -> bytearray:
        """The whole body of a request. Who sends it slowly holds no place in the queue, and not for ever.

        Raises:
            BadJob: it pauses or takes too long.
            HTTPRequestEntityTooLarge: it is too large.
        """
        content = bytearray()
        try:
            now = asyncio.get_running_loop().time
            end = now() + self.reading
            part = b"-"
            while part:
                if now() > end:
                    raise TimeoutError
                async with asyncio.timeout_at(min(end, now() + self.silence)):  # wait_for loses a timeout around it
                    part = await request.content.readany()
                content += part
                if len(content) > self.max_body:
                    raise web.HTTPRequestEntityTooLarge(max_size=self.max_body, actual_size=len(content))
        except TimeoutError as error:
            what = f"{self.silence:g} s without a byte, or {self.reading:g} s in all"
            raise BadJob(f"the request's body did not come in time: {what}", 408) from error
        return content

    async def _turn(self, request: web.Request, work: Callable[[], Any]) -> Any:
        """Run work when its turn comes, unless whoever asked for it has gone."""

        def still_wanted() -> Any:
            if request.transport is None or request.transport.is_closing():
                raise web.HTTPBadRequest(reason="the client has gone")
            return work()

        return await self.gate.run(still_wanted)

    def _runtime(self, language: str, version: str, package: str | None) -> dict[str, Any]:
        """The newest runtime that a job asks for."""
        for item in self.runtimes:
            names = (item["language"], *item["aliases"])
            mine = item.get("runtime") == package and language in names
            if mine and _package(item) not in self.off and satisfies(item["version"], version):
                return item
        raise BadJob(f"{language[:200]}-{version[:200]} runtime is unknown")

    async def _runtimes(self, _request: web.Request) -> web.Response:
        return web.json_response([item for item in self.runtimes if _package(item) not in self.off])

    async def _packages(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [
                {"language": name, "language_version": version, "installed": name not in self.off}
                for name, version in self._known().items()
            ]
        )

    def _known(self) -> dict[str, str]:
        return {_package(item): item["version"] for item in self.runtimes}

    async def _install(self, request: web.Request) -> web.Response:
        name, version = await self._asked(request)
        self.off.discard(name)
        return web.json_response({"language": name, "version": version})

    async def _uninstall(self, request: web.Request) -> web.Response:
        name, version = await self._asked(request)
        if name in self.off:
            return _said(500, f"{name}-{version} is not installed")
        self.off.add(name)
        return web.json_response({"language": name, "version": version})

    async def _asked(self, request: web.Request) -> tuple[str, str]:
        """Name and version of the package that a request is about."""
        body = await _json(await self._body(request))
        asked = body if isinstance(body, dict) else {}
        name, selector = str(asked.get("language")), str(asked.get("version") or "*")
        version = self._known().get(name)
        if version is None or not satisfies(version, selector):
            raise BadJob(f"Requested package {name}-{selector} does not exist", 404)
        return name, version

    async def _batch(self, request: web.Request) -> web.Response:
        self.gate.look()
        content = await self._body(request)
        async with self.gate.place():
            batch = cells.read(await _json(content), self.script_seconds, self.gate.parallel + self.gate.queue)
        async with self.gate.place(len(batch.scripts)):
            pairs = zip(batch.scripts, batch.languages, strict=True)
            told = await asyncio.gather(*(self._cell(request, *pair, batch.timeout) for pair in pairs))
        return web.json_response(told)

    async def _cell(self, request: web.Request, script: str, language: str, timeout: float) -> dict[str, Any]:
        try:
            told = await self._turn(
                request, lambda: cells.run(self.sandbox, script, language, timeout, self.sandbox.limits)
            )
        except ConfigError as error:
            return cells.failed(error.findings[0].what)
        except Closing:
            return cells.failed("the server is about to stop")
        assert isinstance(told, dict)
        return told


def _package(runtime: dict[str, Any]) -> str:
    return str(runtime.get("runtime") or runtime["language"])


def _said(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"message": message}, status=status, headers=headers)


async def _json(content: bytearray) -> Any:
    """The parsed body of a request.

    Raises:
        BadJob: it is no JSON.
    """
    try:
        return await in_thread(lambda: json.loads(content)) if len(content) > LARGE else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadJob(f"the request is no JSON: {str(error)[:200]}") from error
