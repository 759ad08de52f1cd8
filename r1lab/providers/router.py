"""A router in the place of a provider: one account's machines for many jobs, behind POST /execute_batch.

Any router of Open-R1's kind will do, for E2B or for Morph, and r1lab's own (`task=sandbox_server`). It gets the harness
with a job inside as a Python script, and returns what that printed.
"""

from __future__ import annotations

import json
import math
from typing import Any

import httpx

from r1lab.providers.machine import HARNESS
from r1lab.remote.retrying import Unavailable, seconds_of, tail

BODY = HARNESS.partition('\n\nif __name__ == "__main__":')[0]
GRACE = 30.0  # seconds that a script may wait at the router beyond its own time


class RoutedMachine:
    """A `Machine` that a router lends.

    Args:
        url: of the router: `host:port`, or with a scheme.
        client: for its requests.
    """

    def __init__(self, url: str, client: httpx.AsyncClient):
        self.url = f"{url if '://' in url else f'http://{url}'}".rstrip("/")
        self.client = client

    async def harness(self, job: str, seconds: float) -> str:
        """See `machine.Machine`."""
        script = f"{BODY}\n\nmain({job!r})\n"
        body = {
            "scripts": [script],
            "languages": ["python"],
            "timeout": math.ceil(seconds),
            "request_timeout": math.ceil(seconds + GRACE),
        }
        timeout = httpx.Timeout(seconds + 2 * GRACE, connect=5.0)
        try:
            response = await self.client.post(f"{self.url}/execute_batch", json=body, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the router {self.url}: {str(error) or type(error).__name__}") from error
        said = f"the router {self.url} answered {response.status_code}"
        if response.status_code != 200:
            again = response.status_code == 429 or response.status_code >= 500
            after = seconds_of(response.headers.get("retry-after"))
            raise Unavailable(f"{said}: {tail(response.text, 200)}", again=again, after=after)
        try:
            (told,) = json.loads(response.content)
            return _printed(told)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise Unavailable(f"{said} with something that is no result: {tail(response.text, 200)}") from error


def _printed(told: dict[str, Any]) -> str:
    """What a script printed, from the reply of either router.

    Raises:
        Unavailable: the router could not run it.
    """
    execution = told.get("execution")
    if execution:
        if (error := execution.get("error")) and not execution["logs"]["stdout"]:
            raise Unavailable(f"the harness broke: {error['name']}: {tail(str(error['value']), 300)}")
        return "".join(execution["logs"]["stdout"])
    if told.get("text"):
        return str(told["text"])
    raise Unavailable(f"the router could not run it: {tail(str(told.get('exception_str')), 300)}")
