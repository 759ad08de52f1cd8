"""The one process of ours inside a box: pid 1, it starts each program in a world of its own and watches it.

It stays clean: a job (its sources, names, arguments, input) and its outputs pass it by as open files, never as bytes,
so that a program forked from it finds nothing of other submissions in its memory. It has no secrets, cannot be killed
or traced by what it starts (it is pid 1, the program sits in a namespace below with another pid 1), and ends with the
socket it serves.

Standard library only, and any Python from 3.9 on: it runs on the interpreter that submissions get.

    spawner.py FD     # a socket: settings first; then per program a JSON message with open files, and a JSON reply
"""

import array
import gc
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any, Callable, NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
PYTHON, RIGHTS, USAGE = map(import_module, ("spawner_python", "spawner_rights", "spawner_usage"))
del sys.path[0]

CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
NEW_NAMESPACES = 0x00020000 | 0x20000000  # mounts, pids; of IPC only the box has its own: the filter refuses it
NOSUID_NODEV, NOEXEC = 2 | 4, 8
BOX = "/tmp/box"
ANSWER, HIGH = 199, 200  # descriptors out of the way of a program's own
FIRST, TICK = 4, 20  # milliseconds to the first look at a running program, and between two looks at most
ROOM = 4096  # bytes that a file takes beyond its content, at most
Settings = dict[str, Any]
Job = dict[str, Any]
World = tuple[int, socket.socket]  # its first process, and the way to talk to it


def main() -> None:
    """Serve programs, one after the other, until the socket is closed."""
    sys.setrecursionlimit(sys.getrecursionlimit() + 20)  # what lies between us and a program's first line
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(sock.fileno(), False)
    settings = json.loads(sock.recv(1 << 16))
    RIGHTS.walled(settings["outside"])
    settings["filter"] = RIGHTS.seccomp(bytes.fromhex(settings["filter"]))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which pid 1 does not hear; Python's own handler it would
    os.environ.clear()
    os.environ.update(settings["env"])
    RIGHTS.private()
    RIGHTS.no_network()
    RIGHTS.expendable(-900)
    gc.collect()
    gc.freeze()
    world = prepare(settings, sock)
    while True:
        message, fds = receive(sock)
        if not message:
            os._exit(0)
        reply, spare = run(settings, world, message, fds, sock)
        sock.send(json.dumps(reply).encode())
        os.waitpid(world[0], 0)  # what it held is free before the next one starts
        world = spare or prepare(settings, sock)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The next message and the open files that came with it."""
    message, control, _, _ = sock.recvmsg(1 << 16, socket.CMSG_SPACE(253 * 4))
    fds = array.array("i")
    for _, _, data in control:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)


def prepare(settings: Settings, sock: socket.socket) -> World:
    """A world for the next program, made while nobody waits for it: its first process, and the way to tell it more."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = fork(NEW_NAMESPACES)
    if pid == 0:
        ours.close()
        sock.close()
        guarded(theirs.fileno(), init, settings, theirs)
    theirs.close()
    return pid, ours


def run(
    settings: Settings, world: World, message: bytes, fds: list[int], sock: socket.socket
) -> tuple[dict[str, Any], Any]:
    """Run one program to its end: how it ended, and what it used; and the next world, if there was room for it."""
    pid, inside = world
    began = time.monotonic()
    spare = None
    with suppress(BrokenPipeError):  # somebody killed it; what follows says so
        inside.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    for fd in fds:
        os.close(fd)
    with suppress(OSError):  # the program has all that there may be, processes or memory: later
        spare = prepare(settings, sock)
    usage = USAGE.Usage(settings["watch"], settings["socket"], pid, spare and spare[0])
    cause = watch(pid, inside, sock, json.loads(message), began, usage)
    if cause:
        os.kill(pid, signal.SIGKILL)  # a namespace dies with its first process
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        words = inside.recv(1 << 16)
    except ConnectionResetError:  # it died before it read what it was told
        words = b""
    inside.close()
    told = {
        "status": None,
        "error": "" if cause or words else "the box's first process died",
        "seconds": 0,
        "memory": 0,
    }
    told.update(json.loads(words) if words else {})
    told["cause"], told["wall_seconds"] = cause, time.monotonic() - began
    told["seconds"], told["memory"] = max(usage.seconds, told["seconds"]), max(usage.peak, told["memory"])
    return told, spare


def fork(flags: int = 0) -> int:
    """A child in other namespaces. Not os.fork, whose handlers touch, and so copy, a hundred pages of memory."""
    pid: int = RIGHTS.call(RIGHTS.libc.syscall, CLONE, flags | signal.SIGCHLD, 0, 0, 0, 0)
    return pid


def guarded(answer: int, function: Callable[..., None], *args: Any) -> NoReturn:
    """Run what never returns in a forked process; its failure is reported, not raised into the parent's code."""
    try:
        function(*args)
    except BaseException as error:  # this process ends here, whatever it was
        told = {"status": None, "error": f"{type(error).__name__}: {error}"[:2000]}
        os.write(answer, json.dumps(told).encode())
    finally:
        os._exit(1)


def watch(
    pid: int, inside: socket.socket, sock: socket.socket, limits: dict[str, float], began: float, usage: Any
) -> str:
    """Wait for a program's end, "", or for the first limit it meets."""
    poller = select.poll()
    pidfd = os.pidfd_open(pid)
    poller.register(pidfd, select.POLLIN)
    poller.register(inside, select.POLLIN)
    poller.register(sock, select.POLLHUP | select.POLLERR)
    pause = FIRST
    try:
        while True:
            for fd, event in poller.poll(pause):
                if fd in (pidfd, inside.fileno()):
                    return ""
                if event & (select.POLLHUP | select.POLLERR):
                    os._exit(0)  # nobody waits for us: the namespace and all in it end
            pause = min(pause * 2, TICK)
            usage.look()
            if time.monotonic() - began > limits["wall_seconds"]:
                return "wall"
            if usage.seconds > limits["seconds"]:
                return "seconds"
            if usage.everything and usage.threads > limits["processes"]:
                return "processes"
            if usage.memory > limits["memory"] and usage.exact() > limits["memory"]:
                return "memory"
    finally:
        os.close(pidfd)


def init(settings: Settings, door: socket.socket) -> None:
    """The first process of the program's namespace: builds its world, starts it, and clears up behind it."""
    RIGHTS.expendable(1000)  # and all below it
    answer = os.dup2(door.fileno(), ANSWER, inheritable=False)
    mount("/proc", 0)
    message, fds = receive(door)
    limits = json.loads(message)
    bundle, streams = fds[0], fds[1:4]
    length = int.from_bytes(os.pread(bundle, 8, 0), "little")
    job = json.loads(os.pread(bundle, length, 8))
    sizes = job["files"]
    room = int(limits["memory"])
    stored = sum(sizes.values()) + ROOM * (len(sizes) + 2)
    mount("/tmp", room + stored)
    mount("/dev/shm", room, NOEXEC)
    uid = settings["uid"]
    os.mkdir(BOX, 0o755)
    os.chown(BOX, uid, uid)
    box = os.open(BOX, os.O_PATH | os.O_DIRECTORY)  # the program may move it away and put another in its place
    offset = 8 + length
    for name, size in sizes.items():
        place(name, bundle, offset, size, uid)
        offset += size
    extra, targets = fds[4 : 4 + job["extra"]], fds[4 + job["extra"] :]
    pid = fork()
    if pid == 0:
        guarded(answer, program, settings, job, [*streams, *extra], answer)
    for fd in (*streams, *extra):
        os.close(fd)
    status = None
    while status is None:
        done, ended = os.waitpid(-1, 0)
        status = ended if done == pid else None
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    found = [fetch(box, name, fd) for name, fd in zip(job["collect"], targets)]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "status": status,
        "error": "",
        "collected": found,
        "seconds": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * 1024,
    }
    os.write(answer, json.dumps(told).encode())
    os._exit(0)


def mount(path: str, size: int, flags: int = 0) -> None:
    """A fresh file system of so many bytes; 0: the one of the namespace's processes."""
    options = f"size={size},nr_inodes=65536,mode=1777" if size else ""
    kind, flags = (b"tmpfs", flags | NOSUID_NODEV) if size else (b"proc", NOEXEC | NOSUID_NODEV)
    RIGHTS.call(RIGHTS.libc.mount, b"box", path.encode(), kind, flags, options.encode())


def place(name: str, bundle: int, offset: int, size: int, uid: int) -> None:
    """Copy a part of an open file into the box."""
    path = f"{BOX}/{name}"
    if "/" in name:
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        while folder != BOX:
            os.chown(folder, uid, uid)
            folder = os.path.dirname(folder)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    end = offset + size
    while offset < end:
        offset += os.sendfile(fd, bundle, offset, end - offset)
    os.fchown(fd, uid, uid)
    os.close(fd)


def fetch(box: int, name: str, target: int) -> bool:
    """Copy a file that the program made out of the box, if it is a plain file there; nobody is left to change it."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=box)
    except OSError:
        return False
    size = os.fstat(fd).st_size if stat.S_ISREG(os.fstat(fd).st_mode) else -1
    offset = 0
    while offset < size:
        offset += os.sendfile(target, fd, offset, size - offset)
    os.close(fd)
    return size >= 0


def program(settings: Settings, job: Job, wanted: list[int], answer: int) -> None:
    """Become the program: its files, its limits, no rights, and then its code."""
    os.setsid()
    high = [os.dup2(fd, HIGH + place_, inheritable=False) for place_, fd in enumerate(wanted)]
    for place_, fd in enumerate(high):
        os.dup2(fd, place_)
    RIGHTS.close_all_but(len(wanted), answer)
    os.chdir(BOX)
    for limit, value in job["rlimits"].items():
        kind = getattr(resource, limit)
        hard = resource.getrlimit(kind)[1]
        value = resource.RLIM_INFINITY if value < 0 else value
        if hard != resource.RLIM_INFINITY and (value == resource.RLIM_INFINITY or value > hard):
            value = hard
        resource.setrlimit(kind, (value, value))
    RIGHTS.drop(settings["uid"], settings["filter"])
    if not job["argv"]:
        PYTHON.run(BOX, job["args"], answer)
    os.close(answer)  # up to here a failure is ours, from here on it is the program's
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, other programs expect not to
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(job["argv"][0], job["argv"])
    except (OSError, ValueError) as error:
        os.write(2, f"{job['argv'][0]}: {error}\n".encode(errors="replace"))
    os._exit(127)


if __name__ == "__main__":
    main()
