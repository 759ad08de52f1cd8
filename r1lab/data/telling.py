"""What becomes of rows on the way is said: on the terminal, and in the run's log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

log = logging.getLogger("r1lab")


def tell(lines: Iterable[str]) -> None:
    """Say lines once, however many processes train."""
    for line in lines:
        log.info("data: %s", line)
        if os.environ.get("RANK", "0") == "0":
            print(f"data: {line}", flush=True)
