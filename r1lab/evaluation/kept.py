"""Scores kept on disk by everything that they depend on: a killed run judges nothing twice, and a failure again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from r1lab.runs.folder import dumps, write_atomic


def kept(folder: Path, parts: Iterable[object], judge: Callable[[], tuple[Any, bool]]) -> Any:
    """What was judged before of equal parts, else what is judged now.

    Args:
        folder: where it is kept.
        parts: everything that it depends on; their `repr` names the file.
        judge: gives it as JSON values, and whether it may be kept: not where machinery failed, since another try may
            go better.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode("utf-8", "backslashreplace"))
    file = folder / f"{digest.hexdigest()[:32]}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    found, whole = judge()
    if whole:
        write_atomic(file, dumps(found))
    return found
