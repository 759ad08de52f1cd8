"""sandbox=e2b: E2B's machines, through its code interpreter, or a router that lends them.

The job goes as a file, the harness runs in a child of the machine's interpreter, and its line comes back as a file, so
that no limit of a notebook's channels is met. The key stands in E2B_API_KEY, of the environment or of `.env`.

Source: https://e2b.dev/docs, package e2b-code-interpreter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from r1lab.config.environment import E2B_KEY
from r1lab.providers.account import Provider, RentedSandbox
from r1lab.providers.machine import HARNESS, Machine
from r1lab.remote.retrying import Unavailable, tail

if TYPE_CHECKING:
    from e2b_code_interpreter import AsyncSandbox

E2B = Provider("e2b", "E2B", E2B_KEY, "e2b-code-interpreter", "e2b_code_interpreter", "AsyncSandbox")
log = logging.getLogger("r1lab")
REQUEST = 30.0  # seconds for a request that only asks for something
SCRIPT, JOB, LINE = "/tmp/r1lab-harness.py", "/tmp/r1lab-job", "/tmp/r1lab-line"
RUN = f"""
import subprocess
with open({LINE!r}, "wb") as line:
    subprocess.run(["python3", {SCRIPT!r}, {JOB!r}], stdout=line, check=True)
"""


@dataclass(eq=False)
class E2BSandbox(RentedSandbox):
    """Runs submissions on E2B's machines.

    Args:
        template: of the machines; None: that of the code interpreter.
    """

    provider = E2B
    template: str | None = None

    @asynccontextmanager
    async def _own(self, seconds: float) -> AsyncIterator[Machine]:
        created = E2B.sdk().create(
            template=self.template,
            timeout=int(seconds),  # then it ends by itself, whatever becomes of this process
            allow_internet_access=False,
            api_key=E2B.key(),
            request_timeout=REQUEST,
            retries=0,
        )
        with E2B.told():
            machine = await created
        try:
            yield E2BMachine(machine)
        finally:
            await asyncio.shield(_end(machine))


class E2BMachine:
    """A `Machine` of E2B's."""

    def __init__(self, sandbox: AsyncSandbox):
        self.sandbox = sandbox

    async def harness(self, job: str, seconds: float) -> str:
        """See `machine.Machine`."""
        with E2B.told():
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
            with E2B.told():
                await machine.kill()
    except (Unavailable, TimeoutError) as error:
        log.warning("E2B machine %s was not ended, and ends by itself: %s", machine.sandbox_id, error)
