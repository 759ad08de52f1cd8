"""Whether the keys of a hub, a tracker or a sandbox are there. Their presence is looked at, never shown or kept."""

from __future__ import annotations

import netrc
import os
from pathlib import Path

from r1lab.config.environment import lookup

VARIABLES = {  # service → environment variables that log in to it
    "hub": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "wandb": ("WANDB_API_KEY",),
    "e2b": ("E2B_API_KEY",),
    "morph": ("MORPH_API_KEY",),
    "piston": ("PISTON_ENDPOINTS",),
}
HOW = {
    "hub": "hf auth login, or HF_TOKEN",
    "wandb": "wandb login, or WANDB_API_KEY",
    "e2b": "E2B_API_KEY in the environment or in .env",
    "morph": "MORPH_API_KEY in the environment or in .env",
    "piston": "PISTON_ENDPOINTS in the environment or in .env",
}


def logged_in(service: str) -> bool:
    """Whether a key for the service is in the environment, in `.env`, or where its own login puts it."""
    if any(lookup(name) for name in VARIABLES[service]):
        return True
    if service == "hub":
        return any(file.is_file() and file.stat().st_size > 0 for file in _hub_files())
    return service == "wandb" and _in_netrc(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))


def _hub_files() -> list[Path]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return [Path(os.environ.get("HF_TOKEN_PATH") or home / "token")]


def _in_netrc(address: str) -> bool:
    host = address.partition("//")[2].partition("/")[0]
    file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(str(file)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):  # no file, or none that anybody could log in with
        return False
