"""A box: one bubblewrap container with the spawner in it, which runs program after program, each in a fresh world.

The walls, from outside in. The container (`container`): its own pids, IPC, host name and network, and of the machine's
files the system's programs, read-only. Around each program (`spawner`): its own pids, mounts and IPC again, an empty
/tmp of limited size, another user id where we are root, no capability, no new privileges, a seccomp filter, limits on
every resource. For the whole tree of a program, memory and processes are limited by a cgroup where one can be made,
else by the spawner, which looks every few milliseconds and kills.
"""

from __future__ import annotations

import array
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from r1lab.errors import SandboxError
from r1lab.sandbox import cgroup, container, seccomp
from r1lab.sandbox.base import Limits
from r1lab.sandbox.job import ENVIRONMENT, SELF_PROCESSES, Execution, Job, bundle

log = logging.getLogger("r1lab")

FIRST_USER, USERS = 0x70000000, 64  # user ids that nobody else has: so many for each process that makes boxes
GRACE = 10.0  # seconds that a box may be silent beyond a program's own limit
SOCKET = 212992  # bytes that one may hold to be read, where the system does not tell
WALLS = ("mnt", "pid", "net", "ipc", "uts")  # namespaces that a box must have for itself
ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
CAUSES = {"": "", "wall": "wall time", "seconds": "time", "memory": "memory", "processes": "processes"}
numbers = count()


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
        number = next(numbers)
        self.root = os.geteuid() == 0 and cgroup.read(Path("/proc/self/uid_map")).split() == ["0", "0", "4294967295"]
        self.user = FIRST_USER + os.getpid() * USERS + number % USERS if self.root else container.USER
        self.spawner: int | None = None
        with ExitStack() as undo, ExitStack() as given:
            self.group = cgroup.create(number) if tree != "watcher" else None
            if self.group:
                undo.callback(_remove, self.group)
            elif tree == "cgroup":
                raise SandboxError(
                    "sandbox.tree=cgroup: no cgroup can be made here; tree=auto lets a watcher hold the limits"
                )
            self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(self.socket.close)
            given.callback(theirs.close)
            self.words = _memory("bwrap", b"")
            undo.callback(os.close, self.words)
            told, tell = os.pipe()
            pipe = undo.enter_context(os.fdopen(told, "rb"))
            entries = given.enter_context(os.fdopen(tell, "wb"))
            account = _memory("passwd", f"sandbox:x:{self.user}:{self.user}::/tmp:/bin/sh\n".encode())
            given.callback(os.close, account)
            command = container.command(self.root, self.group is None, python, visible, account, entries.fileno())
            doors = [str(door) for door in self.group.doors] if self.group else []
            self.process = subprocess.Popen(
                ["sh", "-c", ENTER, "sh", *doors, "--", *command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self.words,
                stderr=self.words,
                pass_fds=[theirs.fileno(), tell, account],
                start_new_session=True,
                env={"PATH": container.PATHS},
            )
            given.close()
            said = pipe.read()
            pipe.close()
            undo.pop_all()
        try:
            self.spawner = int(json.loads(said)["child-pid"]) if said.strip() else None
            self._send(json.dumps(self._settings()).encode(), [])
            hello = self.run(Job(["true"]), Limits())
            if not hello.well:
                words = hello.failure or hello.stderr.decode(errors="replace")
                raise SandboxError(f"bubblewrap does not start: {words}\n{container.ADVICE}")
            if self.group:
                self.group.settle()
        except BaseException:
            self.close()
            raise

    def run(self, job: Job, limits: Limits, *, give_away: bool = False) -> Execution:
        """Run one program to its end.

        Args:
            job: what to run.
            limits: what it may use.
            give_away: close the job's own open files here once the box has them, so that the other end of a pipe
                sees when the program is gone.

        Raises:
            SandboxError: the box is gone; make a new one.
        """
        with ExitStack() as ours, ExitStack() as given:

            def kept(fd: int) -> int:
                ours.callback(os.close, fd)
                return fd

            def passed(fd: int) -> int:
                if give_away:
                    given.callback(os.close, fd)
                return fd

            extra = [passed(fd) for fd in job.extra]
            stdin = job.stdin
            stdin = passed(stdin) if isinstance(stdin, int) else kept(_memory("stdin", stdin, writable=False))
            stdout = passed(job.stdout) if job.stdout is not None else kept(_memory("stdout", b""))
            stderr = kept(_memory("stderr", b""))
            packed = kept(_memory("job", bundle(job, limits, self.root)))
            targets = [kept(_memory("file", b"")) for _ in job.collect]
            if self.group:
                try:
                    self.group.limit(limits.memory, limits.processes + SELF_PROCESSES)
                except OSError as error:
                    raise SandboxError(f"the box's cgroup cannot be set: {error}") from None
            held = {
                "seconds": limits.seconds,
                "wall_seconds": limits.wall_seconds,
                "memory": limits.memory,
                "processes": limits.processes,
            }
            self._send(json.dumps(held).encode(), [packed, stdin, stdout, stderr, *extra, *targets])
            given.close()
            told = self._reply(limits)
            return self._execution(job, limits, told, stdout, stderr, targets)

    def close(self) -> None:
        """End the box and everything in it."""
        self.socket.close()
        if self.process.poll() is None:
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.end()
        if self.group:
            _remove(self.group)
            self.group = None
        self._forget_words()

    def end(self) -> None:
        """Kill what is inside, from whatever thread; who waits for it learns that the box is gone."""
        if self.spawner and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.spawner, signal.SIGKILL)  # the first process of the namespace: all others go with it
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Let go of a box that belongs to the process from which this one was forked."""
        self.socket.close()
        self.group = None
        self.process.returncode = 0
        self._forget_words()

    def _forget_words(self) -> None:
        if self.words >= 0:
            os.close(self.words)
            self.words = -1

    def _settings(self) -> dict[str, Any]:
        """What the spawner needs to know once."""
        watched = self.group is None
        code = seccomp.program(watched) if seccomp.supported() else b""
        socket_size = int(cgroup.read(Path("/proc/sys/net/core/wmem_default")) or SOCKET)
        return {
            "uid": self.user,
            "filter": code.hex(),
            "watch": watched,
            "socket": socket_size,
            "env": ENVIRONMENT,
            "outside": {name: Path(f"/proc/self/ns/{name}").stat().st_ino for name in WALLS},
        }

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
            self.end()
            raise SandboxError("the box does not answer; it was ended") from None
        except OSError:
            reply = b""
        if not reply:
            raise self._gone()
        told: dict[str, Any] = json.loads(reply)
        return told

    def _gone(self) -> SandboxError:
        words = os.pread(self.words, 2000, 0).decode(errors="replace").strip()
        return SandboxError(f"the box ended: {words or 'nothing was said'}\n{container.ADVICE}")

    def _execution(
        self, job: Job, limits: Limits, told: dict[str, Any], out: int, err: int, targets: list[int]
    ) -> Execution:
        status, cause, failure, seconds = told["status"], CAUSES[told["cause"]], told["error"], told["seconds"]
        code = os.waitstatus_to_exitcode(status) if status is not None else None
        name = signal.Signals(-code).name if code is not None and code < 0 else None
        stdout = os.pread(out, limits.output + 1, 0) if job.stdout is None else b""
        stderr = os.pread(err, limits.output + 1, 0)
        killed, refused = self.group.news() if self.group else (0, 0)
        if killed and code != 0:
            cause, failure = "memory", ""
        if refused and code != 0 and not cause:
            cause = "processes"
        if not cause and name in ("SIGXCPU", "SIGKILL") and seconds > limits.seconds:
            cause = "time"
        if not cause and max(len(stdout), len(stderr)) > limits.output:
            cause = "output"
        if not cause and name == "SIGXFSZ":
            cause = "file size"
        found = zip(job.collect, told.get("collected", ()), targets, strict=False)
        return Execution(
            code=code if name is None else None,
            signal=name,
            stdout=stdout[: limits.output],
            stderr=stderr[: limits.output],
            cause=cause,
            failure=failure,
            seconds=seconds,
            wall_seconds=told["wall_seconds"],
            memory=told["memory"],
            collected={name: os.pread(fd, os.fstat(fd).st_size, 0) for name, there, fd in found if there},
        )


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
