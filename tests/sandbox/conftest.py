"""Fixtures of the sandbox's tests."""

from __future__ import annotations

import pytest

from r1lab.sandbox.local import alive
from tests.command_line import r1lab
from tests.sandbox import attacking
from tests.sandbox.served import client, local, url

__all__ = ["client", "local", "r1lab", "url"]


@pytest.fixture(autouse=True, scope="module")
def only_our_processes() -> None:
    """Tests that count processes count those of their own module."""
    for sandbox in list(alive):
        sandbox.close()
    attacking.others.clear()
    attacking.others.update(attacking.children())
