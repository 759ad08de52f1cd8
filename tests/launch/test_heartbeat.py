"""Signs of life between nodes that share nothing but a folder."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from r1lab.launch.heartbeat import LOOKS, Heartbeat


def look(node: Heartbeat) -> int | None:
    """One look, whenever the last one was."""
    node.next = 0.0
    return node.beat()


@pytest.fixture
def nodes(tmp_path: Path) -> list[Heartbeat]:
    return [Heartbeat(tmp_path, index, {0, 1, 2} - {index}, 60.0) for index in range(3)]


def test_a_node_that_falls_silent_is_lost_after_so_many_looks(nodes: list[Heartbeat]) -> None:
    first, second, third = nodes
    for _ in range(3 * LOOKS):
        assert look(third) is look(second) is look(first) is None
    found = [look(node) for _ in range(LOOKS) for node in (first, second)]
    assert found == [None] * (2 * LOOKS - 2) + [2, 2]


def test_a_sign_that_cannot_be_read_is_a_look_that_finds_nothing_new(
    nodes: list[Heartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS says "stale file handle" of a file that is renamed into place while it is read; the run goes on."""
    first, second, third = nodes
    assert look(second) is look(third) is look(first) is None
    read, stale = Path.read_text, [True]

    def read_text(path: Path, *words: str) -> str:
        if stale[0] and path.name == "2.alive":
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(path, *words)

    monkeypatch.setattr(Path, "read_text", read_text)
    for _ in range(LOOKS - 1):
        assert look(second) is look(first) is None
    stale[0] = False
    assert look(third) is look(second) is look(first) is None
    stale[0] = True
    found = []
    for _ in range(LOOKS):
        look(second)
        found.append(look(first))
    assert found == [None] * (LOOKS - 1) + [2]


def test_one_that_has_not_begun_or_has_ended_is_not_lost(nodes: list[Heartbeat], tmp_path: Path) -> None:
    first, second, _ = nodes
    look(second)
    (tmp_path / "1.ended").touch()
    assert [look(first) for _ in range(3 * LOOKS)] == [None] * (3 * LOOKS)


def test_whoever_stood_still_itself_blames_nobody(nodes: list[Heartbeat], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server that hangs for an hour is one look, not an hour's silence of the others."""
    now = [1000.0]
    monkeypatch.setattr("r1lab.launch.heartbeat.time.monotonic", lambda: now[0])
    first, second, _ = nodes
    assert second.beat() is first.beat() is None
    now[0] += 3600
    assert first.beat() is None and second.beat() is None
    assert first.beat() is None and first.number == 2  # it is not time for another look
