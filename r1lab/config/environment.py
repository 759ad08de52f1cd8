"""Settings and keys that stand in the environment or in a `.env` file, never in a config.

The file is looked for from the working directory upwards. It never overrides the environment, and nothing of it enters
this process's environment: whoever needs a key asks for it by name.
"""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values, find_dotenv

from r1lab.errors import ConfigError, Finding
from r1lab.wording import display

E2B_KEY, MORPH_KEY = "E2B_API_KEY", "MORPH_API_KEY"
PISTON_ENDPOINTS = "PISTON_ENDPOINTS"  # a comma list of URLs, or "slurm" for the workers in the queue
PISTON_PER_ENDPOINT = "PISTON_MAX_REQUESTS_PER_ENDPOINT"
PISTON_TOKEN = "PISTON_TOKEN"  # what r1lab's sandbox server asks for and its client sends
ENGINE_KEY = "R1LAB_ENGINE_KEY"  # what a server of completions asks for, as a bearer token


def lookup(name: str) -> str | None:
    """The value of an environment variable, else of the same name in `.env`; None where neither gives one.

    Raises:
        ConfigError: the `.env` file cannot be read.
    """
    if value := os.environ.get(name, "").strip():
        return value
    path = find_dotenv(usecwd=True)
    if not path:
        return None
    try:
        return (dotenv_values(path, encoding="utf-8").get(name) or "").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        shown = display(Path(path))
        raise ConfigError([Finding(f"{shown} cannot be read: {reason}", shown, fix=f"export {name}=VALUE")]) from error
