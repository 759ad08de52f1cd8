"""Who is logged in where, told without asking anybody: tokens and keys in the environment, `.env` and login files."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

from r1lab.config.environment import lookup

WANDB = "https://api.wandb.ai"


def hub_token() -> str | None:
    """The Hugging Face token: HF_TOKEN in the environment or `.env`, else the file that `hf auth login` writes.

    Raises:
        ConfigError: the `.env` file cannot be read.
    """
    if token := lookup("HF_TOKEN") or lookup("HUGGING_FACE_HUB_TOKEN"):
        return token
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    file = Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token").expanduser()
    return (_text(file) or "").strip() or None


def offline() -> bool:
    """Whether HF_HUB_OFFLINE asks to leave the Hub alone, spelt as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def wandb_login() -> bool:
    """Whether W&B finds a key: WANDB_API_KEY in the environment or `.env`, or a login that `wandb login` wrote.

    Raises:
        ConfigError: the `.env` file cannot be read.
    """
    if lookup("WANDB_API_KEY"):
        return True
    host = urlsplit(lookup("WANDB_BASE_URL") or WANDB).hostname or ""
    named = os.environ.get("NETRC")
    files = [Path(named)] if named else [Path("~/.netrc"), Path("~/_netrc")]
    for file in files:
        try:
            if netrc.netrc(file.expanduser()).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
