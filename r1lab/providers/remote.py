"""What the sandboxes on other machines share: a synchronous interface over an event loop, limits and tries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from r1lab.errors import ConfigError, Finding
from r1lab.providers.verdicts import failed
from r1lab.remote.background import Background
from r1lab.sandbox.base import Limits, Outcome, Submission, Test
from r1lab.sandbox.languages import BY_NAME, LANGUAGES, Language
from r1lab.wording import nearest, some


@dataclass(eq=False)
class RemoteSandbox:
    """A `base.Sandbox` whose work is a coroutine; subclasses say which.

    Args:
        limits: of one test, by the names of `base.Limits`; what is left out has its default.
        tries: of one piece of work, before it becomes an INFRASTRUCTURE outcome.
    """

    limits: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 5

    def __post_init__(self) -> None:
        self._limits = Limits(**{str(key): value for key, value in self.limits.items()})
        self._background = Background()
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for every request

    def run(
        self,
        submission: Submission,
        tests: Sequence[Test],
        limits: Limits | None = None,
        *,
        stop_at_failure: bool = False,
    ) -> list[Outcome]:
        """See `base.Sandbox.run`."""
        if not tests:
            return []
        work = self._work(submission, list(tests), limits or self._limits, stop_at_failure)
        try:
            return self._background.call(work)
        except CancelledError:
            return [failed("the sandbox was closed") for _ in tests]

    def close(self) -> None:
        """Give up what is running and free everything."""
        self._background.close(self._free())

    async def _work(self, submission: Submission, tests: list[Test], limits: Limits, stop: bool) -> list[Outcome]:
        raise NotImplementedError

    async def _free(self) -> None:
        """Close connections, on the loop, as the last thing it does."""


def language_named(name: str) -> Language:
    """The language of that name or alias, whether this machine has it or not.

    Raises:
        ConfigError: nobody knows it.
    """
    language = BY_NAME.get(name.strip().lower())
    if language is None:
        valid = some([item.name for item in LANGUAGES])
        raise ConfigError([Finding(f"no sandbox runs {name!r}", nearest=nearest(name, list(BY_NAME)), fix=valid)])
    return language
