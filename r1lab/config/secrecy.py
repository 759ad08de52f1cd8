"""What leaves the machine leaves without its secrets, and where it is published, without the machine's folders.

A secret is what stands under a telling name (`api_key`, `token`, `password`), what has the form of a known token, what
a URL carries before its `@`, and every value that the environment or `.env` holds under such a name.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from dotenv import dotenv_values, find_dotenv

HIDDEN = "[removed]"
NAMES = re.compile(  # of keys in a config; `eos_token` is none
    r"^(key|token)$|(^|_)((api|access|secret|private)_?key|secret|passw(or)?d|credentials?|authorization"
    r"|(hub|hf|auth|access|api|bearer|refresh|write)_token)$",
    re.IGNORECASE,
)
VARIABLES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
TOKENS = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|e2b_[0-9a-f]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,})\b")
IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
ABSOLUTE = re.compile(r"^(/|~|[A-Za-z]:[\\/])[^\n]*$")
SHORTEST = 8  # characters: a shorter value stands in harmless text too


def secret_values() -> list[str]:
    """The values that the environment and `.env` hold under telling names, the longest first."""
    pairs = dict(os.environ)
    if path := find_dotenv(usecwd=True):
        with suppress(OSError, UnicodeDecodeError):  # `environment.lookup` tells of it where a key is needed
            pairs |= {name: value or "" for name, value in dotenv_values(path, encoding="utf-8").items()}
    found = {value for name, value in pairs.items() if VARIABLES.search(name) and len(value) >= SHORTEST}
    return sorted({value for value in found if not Path(value).exists()}, key=len, reverse=True)


def without_secrets(value: Any, secrets: list[str] | None = None) -> Any:
    """A nested value with every secret replaced by `HIDDEN`."""
    known = secret_values() if secrets is None else secrets
    if isinstance(value, dict):
        return {
            name: HIDDEN if NAMES.search(str(name)) and isinstance(item, str) and item else without_secrets(item, known)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item, known) for item in value]
    if not isinstance(value, str):
        return value
    for secret in known:
        value = value.replace(secret, HIDDEN)
    return IN_URL.sub(HIDDEN, TOKENS.sub(HIDDEN, value))


def without_paths(value: Any, *folders: Path) -> Any:
    """A nested value in which a path keeps its last part, and text none of the machine's `folders`."""
    if isinstance(value, dict):
        return {name: without_paths(item, *folders) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item, *folders) for item in value]
    if not isinstance(value, str):
        return value
    if ABSOLUTE.match(value) and "\n" not in value and " " not in value.strip():
        return Path(value).name or value
    return text_without_paths(value, *folders)


def text_without_paths(text: str, *folders: Path) -> str:
    """Text without the home folder, the working directory, the interpreter's prefix and `folders`.

    What follows such a folder stays, as a relative path.
    """
    known = {str(folder) for item in (*folders, Path.cwd(), Path.home(), Path(sys.prefix)) for folder in _spelt(item)}
    for folder in sorted(known - {"/", "."}, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(folder)}(/|\b)", "", text)
    return text


def _spelt(path: Path) -> tuple[Path, Path]:
    return path.absolute(), path.resolve()
