"""A stand-in of the Hub for one test, and this process's client pointed at it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.hub.stand_in import WRITER, StandIn

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """The stand-in, with a token that may write in the environment.

    HF_HUB_DISABLE_XET is the client's documented switch back to the LFS protocol: the Hub's other way of storing large
    files, Xet, is spoken by a compiled library to a service of its own, which no stand-in can play.
    """
    server = StandIn()
    for name, value in {
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": WRITER,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield server
    server.close()
    huggingface_hub.close_session()


@pytest.fixture
def command(hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `python -m r1lab` in an empty folder, with the stand-in for the Hub."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        full = [sys.executable, "-m", "r1lab", *words]
        return subprocess.run(full, capture_output=True, text=True, timeout=280, check=False)

    return command


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the code under test would have made."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made
