"""The command of a run, as records and messages repeat it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from r1lab.config.experiments import user_folders


def as_command(words: Sequence[str]) -> str:
    """What somebody types to get a run of these words, the user's own config folders included."""
    own = [word for folder in user_folders for word in ("--config-dir", str(folder))]
    return shlex.join(["python", "-m", "r1lab", *own, *words])


def as_typed() -> str:
    """What was typed to start this process."""
    return shlex.join(["python", "-m", "r1lab", *sys.argv[1:]])
