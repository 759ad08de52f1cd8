"""sandbox=e2b: E2B's machines, through its code interpreter, or a router that lends them.

The job goes as a file, the harness runs in a child of the machine's interpreter, and its line comes back as a file, so
that no limit of a notebook's channels is met. The key stands in E2B_API_KEY, of the environment or of `.env`.

Source: https://e2b.dev/docs, package e2b-code-interpreter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from r1lab.config.environment import E2B_KEY, lookup
from r1lab.errors import ConfigError, Finding
from r1lab.providers.machine import HARNESS, Machine, MachineSandbox
from r1lab.providers.router import RoutedMachine
from r1lab.remote.retrying import Unavailable, tail

if TYPE_CHECKING:
    from e2b_code_interpreter import AsyncSandbox

log = logging.getLogger("r1lab")
REQUEST = 30.0  # seconds for a request that only asks for something
SCRIPT, JOB, LINE = "/tmp/r1lab-harness.py", "/tmp/r1lab-job", "/tmp/r1lab-line"
RUN = f"""
import subprocess
with open({LINE!r}, "wb") as line:
    subprocess.run(["python3", {SCRIPT!r}, {JOB!r}], stdout=line, check=True)
"""


@dataclass(eq=False)
class E2BSandbox(MachineSandbox):
    """Runs submissions on E2B's machines.

    Args:
        router_url: of a router, in the place of an account: `host:port`.
        template: of the machines; None: that of the code interpreter.
    """

    router_url: str | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._client: httpx.AsyncClient | None = None
        if not self.router_url:
            sdk()
            key()

    def _machine(self, seconds: float) -> AbstractAsyncContextManager[Machine]:
        return self._routed() if self.router_url else self._own(seconds)

    @asynccontextmanager
    async def _routed(self) -> AsyncIterator[Machine]:
        self._client = self._client or httpx.AsyncClient(trust_env=False)
        yield RoutedMachine(str(self.router_url), self._client)

    @asynccontextmanager
    async def _own(self, seconds: float) -> AsyncIterator[Machine]:
        created = sdk().create(
            template=self.template,
            timeout=int(seconds),  # then it ends by itself, whatever becomes of this process
            allow_internet_access=False,
            api_key=key(),
            request_timeout=REQUEST,
            retries=0,
        )
        with told():
            machine = await created
        try:
            yield E2BMachine(machine)
        finally:
            await asyncio.shield(_end(machine))

    async def _free(self) -> None:
        await super()._free()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class E2BMachine:
    """A `Machine` of E2B's."""

    def __init__(self, sandbox: AsyncSandbox):
        self.sandbox = sandbox

    async def harness(self, job: str, seconds: float) -> str:
        """See `machine.Machine`."""
        with told():
            await self.sandbox.files.write(SCRIPT, HARNESS, request_timeout=REQUEST)
            await self.sandbox.files.write(JOB, job, request_timeout=4 * REQUEST)
            done = await self.sandbox.run_code(RUN, timeout=seconds, request_timeout=REQUEST)
            if done.error:
                said = f"{done.error.name}: {tail(str(done.error.value), 300)}"
                raise Unavailable(f"E2B: the harness broke: {said}\n{tail(''.join(done.logs.stderr), 500)}".rstrip())
            return str(await self.sandbox.files.read(LINE, request_timeout=4 * REQUEST))


async def _end(machine: AsyncSandbox) -> None:
    """Give a machine back; what cannot be told to end ends by its own time."""
    try:
        async with asyncio.timeout(REQUEST):
            with told():
                await machine.kill()
    except (Unavailable, TimeoutError) as error:
        log.warning("E2B machine %s was not ended, and ends by itself: %s", machine.sandbox_id, error)


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong in the SDK as `Unavailable`, with its cause."""
    try:
        yield
    except Unavailable:
        raise
    except Exception as error:  # the SDK raises Exception itself where a reply has no body
        status = getattr(error, "status_code", None)
        refused = type(error).__name__ == "AuthenticationException" or status in (401, 403)
        fix = f": is {E2B_KEY} right?" if refused else ""
        cause = f"E2B: {type(error).__name__}: {tail(str(error), 300)}{fix}"
        raise Unavailable(cause, again=not refused) from error


def sdk() -> type[AsyncSandbox]:
    """E2B's class of machines.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        from e2b_code_interpreter import AsyncSandbox as found  # an extra, and heavy
    except ImportError as error:
        what = "sandbox=e2b needs the package e2b-code-interpreter, which is not installed"
        raise ConfigError([Finding(what, "sandbox=e2b", fix='pip install "r1lab[code]"')]) from error
    return found


def key() -> str:
    """The account's key.

    Raises:
        ConfigError: there is none.
    """
    if found := lookup(E2B_KEY):
        return found
    fix = f"export {E2B_KEY}=…, or a line {E2B_KEY}=… in .env; a router needs no key: sandbox.router_url=HOST:PORT"
    raise ConfigError([Finding(f"sandbox=e2b needs {E2B_KEY}", "sandbox=e2b", fix=fix)])
