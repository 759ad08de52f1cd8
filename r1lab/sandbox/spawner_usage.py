"""What the programs of a box use, counted by the spawner from /proc. Runs inside the box; standard library only."""

import os

TICK = os.sysconf("SC_CLK_TCK")
PRIVATE = (b"RssAnon", b"RssShmem", b"VmSwap", b"VmPTE")
PROPORTIONAL = (b"Pss_Anon", b"Pss_Shmem", b"SwapPss")


class Usage:
    """Of all processes below the spawner: processor seconds so far, threads now, bytes of memory now and at the peak.

    Args:
        everything: whether memory is looked at; where a cgroup holds it, it is not.
        socket: bytes that one end of a local socket may hold.
    """

    def __init__(self, everything: bool, socket: int):
        self.everything, self.socket = everything, socket
        self.seconds, self.threads, self.memory, self.peak = 0.0, 0, 0, 0
        self.own: dict[tuple[str, bytes], int] = {}

    def look(self) -> None:
        """Count once more.

        Seconds are what the living and the children they waited for used, or what each process used that was ever
        seen, whichever is more: a child that nobody waits for leaves its parent no account.
        """
        living, self.threads, memory = 0, 0, 0
        for entry in below():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                self.own[entry, fields[19]] = int(fields[11]) + int(fields[12])
                living += sum(map(int, fields[11:15]))
                self.threads += int(fields[17])
                if self.everything:
                    memory += lines(f"/proc/{entry}/status", PRIVATE)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
        self.seconds = max(self.seconds, living / TICK, sum(self.own.values()) / TICK)
        if self.everything:
            self.memory = memory + stored() + self.socket * sockets()
            self.peak = max(self.peak, self.memory)

    def exact(self) -> int:
        """Bytes of memory, each shared page divided by those who share it."""
        memory = 0
        for entry in below():
            try:
                memory += lines(f"/proc/{entry}/smaps_rollup", PROPORTIONAL)
                memory += lines(f"/proc/{entry}/status", (b"VmPTE",))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return memory + stored() + self.socket * sockets()


def below() -> list[str]:
    """The numbers of all processes but the spawner."""
    return [entry for entry in os.listdir("/proc") if entry.isdigit() and entry != "1"]


def lines(path: str, names: tuple[bytes, ...]) -> int:
    """The sum of some of a file's lines, in bytes."""
    with open(path, "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(names)) * 1024


def stored() -> int:
    """Bytes in the files of the program's world, seen through the root of its first process."""
    for entry in below():
        total = 0
        try:
            for folder in ("tmp", "dev/shm"):
                room = os.statvfs(f"/proc/{entry}/root/{folder}")
                total += (room.f_blocks - room.f_bfree) * room.f_frsize
        except OSError:
            continue
        return total
    return 0


def sockets() -> int:
    """The number of local sockets: the kernel does not tell what waits in them."""
    with open("/proc/net/unix", "rb") as file:
        return sum(1 for _ in file) - 1
