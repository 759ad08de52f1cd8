"""The Hub's client: with a token, with time limits, tried again where that can help, and its refusals in words."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx
import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils._http import default_client_factory

from r1lab.config.logins import hub_token, offline
from r1lab.config.secrecy import without_secrets
from r1lab.errors import ConfigError, Finding, HubError

log = logging.getLogger("r1lab")
T = TypeVar("T")
AGAIN = (408, 409, 412, 423, 425, 429, 500, 502, 503, 504)  # 409 and 412: somebody else committed meanwhile
FIRST, LONGEST = 2.0, 60.0  # seconds between two attempts, doubled each time
CONNECT, ANSWER = 10.0, 300.0  # seconds; the Hub may take minutes over a large commit
SAID = 300  # characters of an error


def connect(token: str | None = None, answer: float = ANSWER) -> HfApi:
    """The Hub's client for this process.

    Args:
        token: instead of the one that `config.logins` finds.
        answer: seconds to wait for an answer; the library itself would wait for ever.

    Raises:
        HubError: HF_HUB_OFFLINE is set.
        ConfigError: there is no token.
    """
    if offline() or constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set")
    token = token or hub_token()
    if not token:
        raise ConfigError([no_token()])

    def client() -> httpx.Client:
        made = default_client_factory()
        made.timeout = httpx.Timeout(answer, connect=CONNECT)
        return made

    huggingface_hub.set_client_factory(client)
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)


def no_token() -> Finding:
    """The finding for a push without a login."""
    return Finding("hub=push needs a Hugging Face token", "hub", fix="export HF_TOKEN=…, or in .env, or hf auth login")


def again(work: Callable[[], T], retries: int, what: str) -> T:
    """Do some work with the Hub, and again with growing pauses while the fault is one that passes.

    Args:
        work: may be done several times.
        retries: attempts after the first one.
        what: is being done, for the messages.

    Raises:
        HubError: the last attempt failed as well, or the Hub refuses in a way that no waiting changes.
    """
    pause = FIRST
    for attempt in range(retries + 1):
        try:
            return work()
        except OfflineModeIsEnabled:
            raise HubError("HF_HUB_OFFLINE is set") from None
        except (HfHubHTTPError, httpx.HTTPError, OSError, RuntimeError) as error:
            said = in_words(error)
            if not passes(error):
                raise HubError(f"{what}: {said}") from error
            if attempt == retries:
                raise HubError(f"{what}: {said}; tried {attempt + 1} times") from error
            asked = retry_after(error)
            log.warning("%s: %s; again in %.0f s", what, said, asked or pause)
            time.sleep(min(asked or pause, LONGEST))
            pause = min(2 * pause, LONGEST)
    raise AssertionError("unreachable")


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it: the client wraps what happened during an upload."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error is about."""
    for item in causes(error):
        response = getattr(item, "response", None)
        if isinstance(response, httpx.Response):
            return response.status_code
    return None


def passes(error: BaseException) -> bool:
    """Whether trying again can help: throttled, a fault of the server, a broken connection."""
    status = status_of(error)
    if status is not None:
        return status in AGAIN
    return any(
        isinstance(item, httpx.TransportError | ConnectionError | TimeoutError)
        or type(item).__module__.startswith("hf_xet")
        or (type(item) is RuntimeError and item.__cause__ is None)  # hf_xet's own errors are bare
        for item in causes(error)
    )


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, where it says so."""
    for item in causes(error):
        response = getattr(item, "response", None)
        if isinstance(response, httpx.Response) and response.headers.get("Retry-After", "").isdigit():
            return float(response.headers["Retry-After"])
    return None


def in_words(error: BaseException) -> str:
    """An error in a line, without a secret."""
    status = status_of(error)
    deepest = [item for item in causes(error) if str(item).strip()]
    lines = str(deepest[-1] if status is None and deepest else error).strip().splitlines()
    told = next((line for line in lines if line.strip()), type(error).__name__)
    if status == 401:
        told = "the token is not valid (401)"
    elif status == 403:
        told = f"the token may not do that (403); {told}"
    return str(without_secrets(told))[:SAID]
