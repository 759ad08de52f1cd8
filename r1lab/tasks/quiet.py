"""What every task begins with: libraries that keep quiet, and functions found by their names."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

import datasets
import transformers


def quiet() -> None:
    """Keep the libraries' own progress bars and chatter off the terminal; warnings go to `run.log`."""
    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_warning()
    transformers.logging.disable_default_handler()
    transformers.logging.enable_propagation()
    logging.getLogger("accelerate").setLevel(logging.WARNING)


def named(target: str) -> Any:
    """The object of a dotted name."""
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
