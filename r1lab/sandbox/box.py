"""A box: one bubblewrap container with the spawner in it, which runs program after program, each in a fresh world.

The walls, from outside in. The container (bubblewrap): its own pids, IPC, host name and a network without a way out; a
file system of the system's programs, read-only, without home folders and without /etc but for a few harmless files.
Around each program (`spawner`): its own pids, mounts and IPC again, an empty /tmp of limited size, another user id
where we are root, no capability, no new privileges, a seccomp filter, limits on every resource. For the whole tree of a
program, memory and processes are limited by a cgroup where one can be made, else by the spawner, which looks every few
milliseconds and kills.
"""

from __future__ import annotations

import array
import contextlib
import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from r1lab.errors import SandboxError
from r1lab.sandbox import cgroup, seccomp
from r1lab.sandbox.base import Limits

log = logging.getLogger("r1lab")

PATHS = "/usr/local/bin:/usr/bin:/bin"
TREES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")  # beside /usr; links into it on most systems
SETTINGS = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "fonts")  # of /etc
SPAWNER = Path(__file__).with_name("spawner.py")
USER, FIRST_USER = 65534, 61000  # inside, for a caller who is not root; on the whole machine, where root calls
TICK = 20  # milliseconds between two looks at a running program, at most
GRACE = 10.0  # seconds that a box may be silent beyond a program's own limit
SELF_PROCESSES = 4  # bubblewrap's own, the spawner, and the first process of a program's world
ANY_STACK = -1
numbers = count()


@dataclass(frozen=True)
class Job:
    """One program to run.

    Args:
        argv: the command, found on the box's PATH; None: main.py, in a fork of the box's interpreter.
        files: name → content, in the program's working folder.
        stdin: its input, or an open file.
        stdout: an open file for its output; None: it is kept, up to the limit.
        extra: open files that it gets as 3, 4, …
        args: of main.py, where `argv` is None.
        collect: names of files to bring back.
        stack: whether its stack may grow without a limit of its own.
    """

    argv: Sequence[str] | None
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes | int = b""
    stdout: int | None = None
    extra: Sequence[int] = ()
    args: Sequence[str] = ()
    collect: Sequence[str] = ()
    stack: bool = False


@dataclass(frozen=True)
class Execution:
    """How a program ended.

    Args:
        code: its exit status; None where a signal ended it or it never ran.
        signal: the name of the signal that ended it.
        cause: the limit it met ("time", "wall time", "memory", "processes", "output", "file size"), or "".
        failure: what went wrong in the box itself, or "".
        seconds, wall_seconds: processor and real time.
        memory: bytes at the peak.
        collected: name → content of the files asked for, where the program made them.
    """

    code: int | None = None
    signal: str | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    cause: str = ""
    failure: str = ""
    seconds: float = 0.0
    wall_seconds: float = 0.0
    memory: int = 0
    collected: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether it ended by itself with status 0 within its limits."""
        return self.code == 0 and not self.cause and not self.failure


class Box:
    """One container; one program at a time.

    Args:
        python: path of the interpreter for Python programs.
        visible: further paths to show, read-only.
        tree: "auto", "cgroup" or "watcher": who holds memory and processes of a whole tree.

    Raises:
        SandboxError: bubblewrap is missing or is refused.
    """

    def __init__(self, python: Path, visible: Sequence[Path] = (), tree: str = "auto"):
        if shutil.which("bwrap") is None:
            raise SandboxError(f"bubblewrap is not installed: {INSTALL}")
        self.number = next(numbers)
        self.root = os.geteuid() == 0
        self.user = FIRST_USER + os.getpid() % 1000 * 40 + self.number % 40 if self.root else USER
        self.group = cgroup.create(f"r1lab-{os.getpid()}-{self.number}") if tree != "watcher" else None
        if tree == "cgroup" and self.group is None:
            raise SandboxError(
                "sandbox.tree=cgroup: no cgroup can be made here; tree=auto lets a watcher hold the limits"
            )
        self.filter = seccomp.program().hex() if seccomp.supported() else ""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = ours
        self.words = _memory("bwrap", b"")
        told, tell = os.pipe()
        account = _memory("passwd", f"sandbox:x:{self.user}:{self.user}::/tmp:/bin/sh\n".encode())
        command = [*_container(self.root, python, visible, account, tell), str(python), "-I", "-B", "/spawner.py"]
        doors = [str(door) for door in self.group.doors] if self.group else []
        enter = ["sh", "-c", 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            [*enter, *doors, "--", *command, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=self.words,
            stderr=self.words,
            pass_fds=[theirs.fileno(), tell, account],
            start_new_session=True,
            env={"PATH": PATHS},
        )
        theirs.close()
        os.close(tell)
        os.close(account)
        with os.fdopen(told, "rb") as pipe:
            said = pipe.read()
        self.spawner = int(json.loads(said)["child-pid"]) if said.strip() else None
        try:
            hello = self.run(Job(["true"]), Limits())
            if not hello.well:
                raise SandboxError(f"bubblewrap does not start: {hello.failure or hello.stderr.decode()}\n{ADVICE}")
        except SandboxError:
            self.close()
            raise
        if self.group:
            self.group.settle()

    def run(self, job: Job, limits: Limits, *, give_away: bool = False) -> Execution:
        """Run one program to its end.

        Args:
            give_away: close the job's own open files here once the box has them, so that the other end of a pipe
                sees when the program is gone.

        Raises:
            SandboxError: the box is gone; make a new one.
        """
        stdin = job.stdin if isinstance(job.stdin, int) else _memory("stdin", job.stdin, writable=False)
        stdout = _memory("stdout", b"") if job.stdout is None else job.stdout
        stderr = _memory("stderr", b"")
        sources = [_memory("file", content) for content in job.files.values()]
        targets = [_memory("file", b"") for _ in job.collect]
        own = [stderr, *sources, *targets]
        given = list(job.extra)
        (given if isinstance(job.stdin, int) else own).append(stdin)
        (own if job.stdout is None else given).append(stdout)
        try:
            before = self._limit(limits)
            files = [stdin, stdout, stderr, *job.extra, *sources, *targets]
            try:
                self._send(_message(job, limits, self), files)
            finally:
                for fd in given if give_away else ():
                    os.close(fd)
            told = self._reply(limits)
            return self._execution(job, limits, told, before, stdout, stderr, targets)
        finally:
            for fd in own:
                os.close(fd)

    def close(self) -> None:
        """End the box and everything in it."""
        self.socket.close()
        if self.process.poll() is None:
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._kill()
        if self.group:
            _remove(self.group)
            self.group = None
        if self.words >= 0:
            os.close(self.words)
            self.words = -1

    def _kill(self) -> None:
        if self.spawner:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.spawner, signal.SIGKILL)  # the first process of the namespace: all others go with it
        self.process.kill()
        self.process.wait()

    def _limit(self, limits: Limits) -> tuple[int, int]:
        if self.group is None:
            return 0, 0
        self.group.limit(limits.memory, limits.processes + SELF_PROCESSES)
        return self.group.events()

    def _send(self, message: bytes, fds: list[int]) -> None:
        try:
            self.socket.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        except OSError:
            raise self._gone() from None

    def _reply(self, limits: Limits) -> dict[str, Any]:
        self.socket.settimeout(limits.wall_seconds + GRACE)
        try:
            reply = self.socket.recv(1 << 20)
        except TimeoutError:
            self._kill()
            raise SandboxError("the box does not answer; it was ended") from None
        except OSError:
            reply = b""
        if not reply:
            raise self._gone()
        told: dict[str, Any] = json.loads(reply)
        return told

    def _gone(self) -> SandboxError:
        words = os.pread(self.words, 2000, 0).decode(errors="replace").strip()
        return SandboxError(f"the box ended: {words or 'nothing was said'}\n{ADVICE}")

    def _execution(
        self,
        job: Job,
        limits: Limits,
        told: dict[str, Any],
        before: tuple[int, int],
        out: int,
        err: int,
        targets: list[int],
    ) -> Execution:
        status, cause, memory = told["status"], CAUSES[told["cause"]], told["memory"]
        code = os.waitstatus_to_exitcode(status) if status is not None else None
        name = signal.Signals(-code).name if code is not None and code < 0 else None
        stdout = os.pread(out, limits.output + 1, 0) if job.stdout is None else b""
        stderr = os.pread(err, limits.output + 1, 0)
        if self.group:
            killed, refused = (now - then for now, then in zip(self.group.events(), before, strict=True))
            if killed and (name or code):
                cause = "memory"
            elif refused and (name or code) and not cause:
                cause = "processes"
        if not cause and (name in ("SIGXCPU", "SIGKILL") and told["seconds"] > limits.seconds):
            cause = "time"
        if not cause and name == "SIGXFSZ":
            cause = "file size"
        if not cause and max(len(stdout), len(stderr)) > limits.output:
            cause = "output"
        found = zip(job.collect, told.get("collected", ()), targets, strict=False)
        return Execution(
            code=code if name is None else None,
            signal=name,
            stdout=stdout[: limits.output],
            stderr=stderr[: limits.output],
            cause=cause,
            failure=told["error"],
            seconds=told["seconds"],
            wall_seconds=told["wall_seconds"],
            memory=memory,
            collected={name: os.pread(fd, os.fstat(fd).st_size, 0) for name, there, fd in found if there},
        )


CAUSES = {"": "", "wall": "wall time", "seconds": "time", "memory": "memory", "processes": "processes"}
ADVICE = (
    "Programs run only inside bubblewrap, which needs user namespaces (or root). "
    "Try: bwrap --unshare-all --ro-bind / / true\n"
    "On Ubuntu 24.04 and later: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for bwrap; "
    "in Docker: --security-opt seccomp=unconfined --cap-add SYS_ADMIN. Or choose sandbox=piston."
)


def _message(job: Job, limits: Limits, box: Box) -> bytes:
    rlimits = {
        "RLIMIT_CPU": math.ceil(limits.seconds) + 1,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
    if job.stack:
        rlimits["RLIMIT_STACK"] = ANY_STACK
    if box.root:  # the user id is this box's alone, so that the count is the tree's
        rlimits["RLIMIT_NPROC"] = limits.processes
    message = {
        "argv": list(job.argv) if job.argv else None,
        "args": list(job.args),
        "env": {"PATH": PATHS, "HOME": "/tmp", "LANG": "C.UTF-8", "USER": "sandbox", "PYTHONDONTWRITEBYTECODE": "1"},
        "files": list(job.files),
        "collect": list(job.collect),
        "extra": len(job.extra),
        "uid": box.user,
        "filter": box.filter,
        "seconds": limits.seconds,
        "wall_seconds": limits.wall_seconds,
        "memory": limits.memory,
        "processes": limits.processes,
        "storage": limits.memory,
        "watch": box.group is None,
        "tick": TICK,
        "rlimits": rlimits,
    }
    return json.dumps(message).encode()


def _container(root: bool, python: Path, visible: Sequence[Path], account: int, tell: int) -> list[str]:
    """bubblewrap's command line."""
    words = [
        str(shutil.which("bwrap")),
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    words += ["--as-pid-1", "--new-session", "--hostname", "sandbox", "--clearenv", "--cap-add", "ALL"]
    if not root:
        words += ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    words += ["--ro-bind", "/usr", "/usr"]
    for tree in map(Path, TREES):
        if tree.is_symlink():
            words += ["--symlink", str(tree.readlink()), str(tree)]
        elif tree.exists():
            words += ["--ro-bind", str(tree), str(tree)]
    words += ["--perms", "0755", "--dir", "/etc"]
    java = sorted(path.name for path in Path("/etc").glob("java*"))
    for name in (*SETTINGS, *java):
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in dict.fromkeys([*_homes(python), *visible]):
        for above in [*path.parents][-2::-1]:
            words += ["--perms", "0755", "--dir", str(above)]
        words += ["--ro-bind", str(path), str(path)]
    words += ["--ro-bind-data", str(account), "/etc/passwd", "--ro-bind", str(SPAWNER), "/spawner.py"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/"]
    return [*words, "--info-fd", str(tell), "--"]


INSTALL = "apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora, RHEL), or sandbox=piston"


def _homes(python: Path) -> list[Path]:
    """The folders that an interpreter needs, where they are not shown anyway."""
    said = subprocess.run(
        [str(python), "-I", "-c", "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return [Path(home) for home in dict.fromkeys(said) if home and not home.startswith("/usr")]


def _memory(name: str, content: bytes, *, writable: bool = True) -> int:
    """An open file in memory; a program that gets it finds it open, at its beginning."""
    fd = os.memfd_create(name)
    offset = 0
    while offset < len(content):
        offset += os.write(fd, content[offset:])
    os.lseek(fd, 0, os.SEEK_SET)
    if writable:
        return fd
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    os.close(fd)
    return again


def _remove(group: cgroup.Group) -> None:
    """Remove a group whose last processes are on their way out."""
    pause = threading.Event()
    for _ in range(200):
        try:
            group.remove()
        except OSError:
            pause.wait(0.01)
        else:
            return
    log.warning("cgroup %s could not be removed", group.memory)
