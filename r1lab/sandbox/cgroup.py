"""Limits for a whole tree of processes by cgroup (versions 1 and 2), where this process may make one.

Version 2 needs a group above this process whose controllers are handed on (`cgroup.subtree_control`) and which may be
written: root's machine, or a delegated systemd unit. Version 1 needs the memory and pids hierarchies to be writable.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("memory", "pids")


class Group:
    """One group: in version 2 one folder, in version 1 one per controller."""

    def __init__(self, memory: Path, pids: Path):
        self.memory, self.pids = memory, pids
        self.second = (memory / "cgroup.procs").exists() and (memory / "memory.max").exists()
        self.base = 0

    @property
    def folders(self) -> list[Path]:
        """Its folders, each once."""
        return list(dict.fromkeys((self.memory, self.pids)))

    @property
    def doors(self) -> list[Path]:
        """The files into which a process writes its number to enter."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def used(self) -> int:
        """Bytes charged now."""
        return int((self.memory / ("memory.current" if self.second else "memory.usage_in_bytes")).read_text())

    def limit(self, memory: int, processes: int) -> None:
        """Allow what is in the group now and so much more."""
        (self.memory / ("memory.max" if self.second else "memory.limit_in_bytes")).write_text(str(memory + self.base))
        (self.pids / "pids.max").write_text(str(processes))

    def settle(self) -> None:
        """Call what is in the group now its own, not a program's; swap, where there is some, is for nobody."""
        self.base = self.used()
        if self.second and (swap := self.memory / "memory.swap.max").exists():
            swap.write_text("0")

    def events(self) -> tuple[int, int]:
        """How often so far: (a process was killed for memory, a new process was refused)."""
        killed = _field(self.memory / ("memory.events" if self.second else "memory.oom_control"), "oom_kill")
        return killed, _field(self.pids / "pids.events", "max")

    def remove(self) -> None:
        """Remove it; the processes in it must have ended."""
        for folder in self.folders:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def create(name: str) -> Group | None:
    """A new group below one that this process may write; None where there is none."""
    own = _own()
    if "" in own and set(NEEDED) <= set(_read(ROOT / "cgroup.controllers").split()):
        above = ROOT / own[""].strip("/")
        for folder in (above, *above.parents):
            if set(NEEDED) <= set(_read(folder / "cgroup.subtree_control").split()) and (
                made := _make([folder / name])
            ):
                return Group(made[0], made[0])
            if folder == ROOT:
                return None
    if all(controller in own for controller in NEEDED):
        made = _make([ROOT / controller / own[controller].strip("/") / name for controller in NEEDED])
        return Group(made[0], made[1]) if made else None
    return None


def _own() -> dict[str, str]:
    """This process's group by controller, "" for version 2."""
    groups = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _make(folders: list[Path]) -> list[Path] | None:
    """Make these folders, each with a door that may be written; all or none."""
    made = []
    for folder in folders:
        try:
            folder.mkdir()
        except OSError:
            break
        made.append(folder)
        if not os.access(folder / "cgroup.procs", os.W_OK):
            break
    else:
        return made
    for folder in made:
        folder.rmdir()
    return None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
