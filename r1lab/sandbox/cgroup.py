"""Limits for a whole tree of processes by cgroup (versions 1 and 2), where this process may make one.

Version 2 needs a group above this process whose controllers are handed on (`cgroup.subtree_control`) and which may be
written: root's machine, or a delegated systemd unit. Version 1 needs the memory and pids hierarchies to be writable.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = f"r1lab-{Path('/proc/self/ns/pid').stat().st_ino}"  # process numbers are told apart within one namespace
TRIES, PAUSE = 20, 0.01  # to lower a limit, seconds
NEEDED = ("memory", "pids")


class Group:
    """One group: in version 2 one folder, in version 1 one per controller."""

    def __init__(self, memory: Path, pids: Path):
        self.memory, self.pids = memory, pids
        self.second = (memory / "cgroup.procs").exists() and (memory / "memory.max").exists()
        self.kills = memory / ("memory.events" if self.second else "memory.oom_control")
        self.refusals = pids / "pids.events"
        self.base = 0
        self.set: tuple[int, int] | None = None
        self.known = (0, 0)

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
        """Allow what is in the group now and so much more.

        Raises:
            OSError: the group has gone, or more is in use than is allowed.
        """
        if self.set != (memory, processes):
            self.set = None
            self._allow(memory + self.base)
            (self.pids / "pids.max").write_text(str(processes))
            self.set = (memory, processes)

    def _allow(self, memory: int) -> None:
        if self.second:
            (self.memory / "memory.max").write_text(str(memory))
            return
        for _ in range(TRIES):
            try:
                (self.memory / "memory.limit_in_bytes").write_text(str(memory))
            except OSError:  # what the last program wrote or read is still there, for nobody
                (self.memory / "memory.force_empty").write_text("0")
                time.sleep(PAUSE)
            else:
                return
        (self.memory / "memory.limit_in_bytes").write_text(str(memory))

    def settle(self) -> None:
        """Call what is in the group now its own, not a program's; swap, where there is some, is for nobody."""
        self.base, self.set = self.used(), None
        if self.second and (swap := self.memory / "memory.swap.max").exists():
            swap.write_text("0")

    def news(self) -> tuple[int, int]:
        """How often since the last call: (a process was killed for memory, a new process was refused)."""
        killed, refused = _field(self.kills, "oom_kill"), _field(self.refusals, "max")
        then, self.known = self.known, (killed, refused)
        return killed - then[0], refused - then[1]

    def remove(self) -> None:
        """Remove it; the processes in it must have ended."""
        for folder in self.folders:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


def _field(file: Path, name: str) -> int:
    fd = os.open(file, os.O_RDONLY)
    try:
        words = os.read(fd, 1000).split()
    finally:
        os.close(fd)
    return int(words[words.index(name.encode()) + 1])


def create(number: int) -> Group | None:
    """A new group below one that this process may write; None where there is none.

    Its name tells who made it, so that what a killed process left is removed by the next one.
    """
    name = f"{PREFIX}-{os.getpid()}-{number}"
    own = _own()
    if "" in own and set(NEEDED) <= set(read(ROOT / "cgroup.controllers").split()):
        above = ROOT / own[""].strip("/")
        for folder in (above, *above.parents):
            if set(NEEDED) <= set(read(folder / "cgroup.subtree_control").split()) and (made := _make([folder / name])):
                return Group(made[0], made[0])
            if folder == ROOT:
                return None
    if all(controller in own for controller in NEEDED):
        made = _make([ROOT / controller / own[controller].strip("/") / name for controller in NEEDED])
        return Group(made[0], made[1]) if made else None
    return None


def _sweep(above: Path) -> None:
    """Remove the groups of processes of this pid namespace that were killed."""
    for left in above.glob(f"{PREFIX}-*"):
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():
            with contextlib.suppress(OSError):  # another one was faster, or its last processes are still ending
                left.rmdir()


def _own() -> dict[str, str]:
    """This process's group by controller, "" for version 2."""
    groups = {}
    for line in read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _make(folders: list[Path]) -> list[Path] | None:
    """Make these folders, each with a door that may be written; all or none."""
    made = []
    for folder in folders:
        _sweep(folder.parent)
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


def read(file: Path) -> str:
    """A file's text; empty where it cannot be read."""
    try:
        return file.read_text()
    except OSError:
        return ""
