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
        first: the first process of the program's world.
        spare: a process that waits for the next program; None where there is none.
    """

    def __init__(self, everything: bool, socket: int, first: int, spare: "int | None"):
        self.everything, self.socket, self.first = everything, socket, first
        self.others = {"1", str(spare)}
        self.seconds, self.threads, self.memory, self.peak = 0.0, 0, 0, 0
        self.own: dict[tuple[str, bytes], int] = {}

    def look(self) -> None:
        """Count once more.

        Seconds are what the living and the children they waited for used, or what each process used that was ever
        seen, whichever is more: a child that nobody waits for leaves its parent no account.
        """
        living, self.threads, memory = 0, 0, 0
        for entry in self.below():
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
            self.memory = memory + self.stored() + self.socket * sockets()
            self.peak = max(self.peak, self.memory)

    def below(self) -> list[str]:
        """The numbers of the program's processes."""
        return [entry for entry in os.listdir("/proc") if entry.isdigit() and entry not in self.others]

    def stored(self) -> int:
        """Bytes in the files of the program's world, seen through the root of its first process."""
        total = 0
        for folder in ("tmp", "dev/shm"):
            try:
                room = os.statvfs(f"/proc/{self.first}/root/{folder}")
            except OSError:
                return 0  # it has ended
            total += (room.f_blocks - room.f_bfree) * room.f_frsize
        return total

    def exact(self) -> int:
        """Bytes of memory, each shared page divided by those who share it."""
        memory = 0
        for entry in self.below():
            try:
                memory += lines(f"/proc/{entry}/smaps_rollup", PROPORTIONAL)
                memory += lines(f"/proc/{entry}/status", (b"VmPTE",))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return memory + self.stored() + self.socket * sockets()


def lines(path: str, names: tuple[bytes, ...]) -> int:
    """The sum of some of a file's lines, in bytes."""
    with open(path, "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(names)) * 1024


def sockets() -> int:
    """The number of local sockets: the kernel does not tell what waits in them."""
    with open("/proc/net/unix", "rb") as file:
        return sum(1 for _ in file) - 1
