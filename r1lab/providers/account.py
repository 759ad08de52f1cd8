"""A provider that rents machines to an account, or through a router: its key, its SDK, and what goes wrong in that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import httpx

from r1lab.config.environment import lookup
from r1lab.errors import ConfigError, Finding
from r1lab.providers.machine import Machine, MachineSandbox
from r1lab.providers.router import RoutedMachine
from r1lab.remote.retrying import Unavailable, tail


@dataclass(frozen=True)
class Provider:
    """Whose machines they are.

    Attributes:
        option: of `sandbox`, as configs choose it.
        name: as messages call it.
        variable: of the environment or of `.env`, that holds the account's key.
        package: of its SDK, as pip knows it.
        module, entry: where the SDK's entry is.
    """

    option: str
    name: str
    variable: str
    package: str
    module: str
    entry: str

    def key(self) -> str:
        """The account's key.

        Raises:
            ConfigError: there is none.
        """
        if found := lookup(self.variable):
            return found
        given = f"export {self.variable}=…, or a line {self.variable}=… in .env"
        fix = f"{given}; a router needs no key: sandbox.router_url=HOST:PORT"
        what = f"sandbox={self.option} needs {self.variable}"
        raise ConfigError([Finding(what, f"sandbox={self.option}", fix=fix)])

    def sdk(self) -> Any:
        """The entry of its SDK, an extra, and heavy.

        Raises:
            ConfigError: the package is not installed.
        """
        try:
            return getattr(import_module(self.module), self.entry)
        except ImportError as error:
            what = f"sandbox={self.option} needs the package {self.package}, which is not installed"
            raise ConfigError([Finding(what, f"sandbox={self.option}", fix='pip install "r1lab[code]"')]) from error

    @contextmanager
    def told(self) -> Iterator[None]:
        """What goes wrong in the SDK as `Unavailable`, with its cause."""
        try:
            yield
        except Unavailable:
            raise
        except Exception as error:  # what SDKs raise, httpx's and pydantic's included, has no root in common
            status = getattr(error, "status_code", None)
            refused = type(error).__name__ == "AuthenticationException" or status in (401, 403)
            fix = f": is {self.variable} right?" if refused else ""
            cause = f"{self.name}: {type(error).__name__}: {tail(str(error), 300)}{fix}"
            raise Unavailable(cause, again=not refused) from error


@dataclass(eq=False)
class RentedSandbox(MachineSandbox):
    """Machines of an account's, or of a router's; subclasses say which provider's, and how one is rented.

    Args:
        router_url: of a router, in the place of an account: `host:port`.
    """

    provider: ClassVar[Provider]
    router_url: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._client: httpx.AsyncClient | None = None
        if not self.router_url:
            self.provider.sdk()
            self.provider.key()

    def _machine(self, seconds: float) -> AbstractAsyncContextManager[Machine]:
        return self._routed() if self.router_url else self._own(seconds)

    @asynccontextmanager
    async def _routed(self) -> AsyncIterator[Machine]:
        self._client = self._client or httpx.AsyncClient(trust_env=False)
        yield RoutedMachine(str(self.router_url), self._client)

    def _own(self, seconds: float) -> AbstractAsyncContextManager[Machine]:
        """A machine of the account's, for at most so many seconds."""
        raise NotImplementedError

    async def _free(self) -> None:
        await super()._free()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
