"""sandbox=morph: Morph Cloud's machines, or a router that lends them.

Everything goes through the API's `exec`, plain HTTP: files in pieces that a command line takes, then the harness. (The
SDK's own upload needs SSH.) Machines start from a snapshot that is made once, with Python and compilers, and is found
again by its digest. The key stands in MORPH_API_KEY, of the environment or of `.env`.

Source: https://cloud.morph.so/docs, package morphcloud.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from r1lab.config.environment import MORPH_KEY
from r1lab.providers.account import Provider, RentedSandbox
from r1lab.providers.machine import HARNESS, Machine
from r1lab.remote.retrying import Unavailable, tail

if TYPE_CHECKING:
    from morphcloud.api import Instance, MorphCloudClient

MORPH = Provider("morph", "Morph", MORPH_KEY, "morphcloud", "morphcloud.api", "MorphCloudClient")
log = logging.getLogger("r1lab")
REQUEST = 60.0  # seconds for a request that only asks for something
PIECE = 96 << 10  # characters of a file in one command; Linux takes 128 KiB in an argument
FOLDER = "/tmp/r1lab"
PACKAGES = "python3 g++ nodejs"
INSTALL = f"export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -qy {PACKAGES}"
INSTALLING = 900.0  # seconds
DIGEST = "r1lab-sandbox-1"


@dataclass(eq=False)
class MorphSandbox(RentedSandbox):
    """Runs submissions on Morph's machines.

    Args:
        snapshot: that machines start from; None: one is made on first use.
        image, vcpus, megabytes, disk_megabytes: of the snapshot that is made.
    """

    provider = MORPH
    snapshot: str | None = None
    image: str = "morphvm-minimal"
    vcpus: int = 2
    megabytes: int = 4096
    disk_megabytes: int = 10240

    def __post_init__(self) -> None:
        super().__post_init__()
        self._morph: MorphCloudClient | None = None
        self._base: str | None = None
        self._making: asyncio.Lock | None = None

    @asynccontextmanager
    async def _own(self, seconds: float) -> AsyncIterator[Machine]:
        base = self.snapshot or await self._snapshot()
        async with self._started(base, seconds) as machine:
            yield MorphMachine(machine)

    @asynccontextmanager
    async def _started(self, snapshot: str, seconds: float) -> AsyncIterator[Instance]:
        """A machine from a snapshot, stopped whatever happens; after `seconds` it stops by itself."""
        morph = self._client_of_morph()
        with MORPH.told():
            machine = await morph.instances.astart(
                snapshot, ttl_seconds=int(seconds), ttl_action="stop", timeout=seconds
            )
        try:
            yield machine
        finally:
            await asyncio.shield(_end(machine))

    def _client_of_morph(self) -> MorphCloudClient:
        self._morph = self._morph or MORPH.sdk()(api_key=MORPH.key())
        return self._morph

    async def _snapshot(self) -> str:
        """The snapshot with what programs need, made where the account has none."""
        self._making = self._making or asyncio.Lock()
        async with self._making:
            if self._base is None:
                self._base = await self._found_or_made()
        return self._base

    async def _found_or_made(self) -> str:
        morph = self._client_of_morph()
        with MORPH.told():
            async with asyncio.timeout(REQUEST):
                found = await morph.snapshots.alist(digest=DIGEST)
        if found:
            return str(found[0].id)
        log.info("Morph: making the snapshot %s with %s, once for the account", DIGEST, PACKAGES)
        with MORPH.told():
            bare = await morph.snapshots.acreate(self.image, self.vcpus, self.megabytes, self.disk_megabytes)
        async with self._started(bare.id, INSTALLING) as machine:
            with MORPH.told():
                done = await machine.aexec(INSTALL, timeout=INSTALLING)
                if done.exit_code != 0:
                    raise Unavailable(f"Morph: {PACKAGES} could not be installed: {tail(done.stderr, 500)}")
                return str((await machine.asnapshot(digest=DIGEST)).id)

    async def _free(self) -> None:
        await super()._free()
        morph, self._morph, self._making = self._morph, None, None
        if morph is not None:
            await morph._async_http_client.aclose()  # the SDK has no other way to close its connections


class MorphMachine:
    """A `Machine` of Morph's."""

    def __init__(self, instance: Instance):
        self.instance = instance

    async def harness(self, job: str, seconds: float) -> str:
        """See `machine.Machine`."""
        code = base64.b64encode(zlib.compress(HARNESS.encode(), 9)).decode()
        unpacked = "import base64,sys,zlib;sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.stdin.read())))"
        await self._sent("code", code)
        await self._sent("job", job)
        unpack = f"cat code.* | python3 -c '{unpacked}' > harness.py && cat job.* > job"
        return await self._exec(f"cd {FOLDER} && {unpack} && python3 harness.py job", seconds)

    async def _sent(self, name: str, text: str) -> None:
        """Write a file in numbered pieces; a piece that is written twice is the same piece."""
        for number, start in enumerate(range(0, len(text), PIECE)):
            piece = text[start : start + PIECE]  # base64: nothing that a shell would read
            await self._exec(f"mkdir -p {FOLDER} && printf %s {piece} > {FOLDER}/{name}.{number:06d}", REQUEST)

    async def _exec(self, command: str, seconds: float) -> str:
        with MORPH.told():
            done = await self.instance.aexec(command, timeout=seconds)
        if done.exit_code != 0:
            raise Unavailable(f"Morph: a command ended with exit code {done.exit_code}: {tail(done.stderr, 500)}")
        return str(done.stdout)


async def _end(machine: Instance) -> None:
    """Stop a machine; one that cannot be told to stop stops by its own time."""
    try:
        async with asyncio.timeout(REQUEST):
            with MORPH.told():
                await machine.astop()
    except (Unavailable, TimeoutError) as error:
        log.warning("Morph machine %s was not stopped, and stops by itself: %s", machine.id, error)
