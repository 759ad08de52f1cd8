"""The one process of ours inside a box: pid 1, it starts each program in a world of its own and watches it.

It stays clean: sources, inputs and outputs pass it by as open files, never as bytes, so that a program forked from it
finds nothing of other submissions in its memory. It has no secrets, cannot be killed or traced by what it starts (it is
pid 1, the program sits in a namespace below with another pid 1), and ends with the socket it serves.

Standard library only, and any Python from 3.9 on: it runs on the interpreter that submissions get.

    spawner.py FD     # a socket: one JSON message with open files per program, one JSON reply
"""

import array
import ctypes
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

sys.setrecursionlimit(sys.getrecursionlimit() + 20)  # what lies between us and a program's first line
for name in "bisect collections decimal functools heapq itertools math random re string threading typing".split():
    __import__(name)  # what most programs import: forked along, not read again

libc = ctypes.CDLL(None, use_errno=True)
CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
NEW_NAMESPACES = 0x00020000 | 0x20000000 | 0x08000000  # mounts, pids, IPC
NOSUID_NODEV, NOEXEC = 2 | 4, 8
PDEATHSIG, DUMPABLE, SECCOMP, CAPBSET_DROP, NO_NEW_PRIVS, CAP_AMBIENT = 1, 4, 22, 24, 38, 47
BOX = "/tmp/box"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def main():
    """Serve programs, one after the other, until the socket is closed."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(sock.fileno(), False)
    call(libc.prctl, DUMPABLE, 0)
    gc.collect()
    gc.freeze()
    while True:
        message, control, _, _ = sock.recvmsg(1 << 20, socket.CMSG_SPACE(253 * 4))
        if not message:
            os._exit(0)
        fds = array.array("i")
        for _, _, data in control:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        reply = run(json.loads(message), list(fds), sock)
        for fd in fds:
            os.close(fd)
        sock.send(json.dumps(reply).encode())


def call(function, *args):
    """A C function's result; OSError where it is negative."""
    result = function(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), function.__name__)
    return result


def run(job, fds, sock):
    """Run one program to its end: how it ended, and what it used."""
    report, answer = os.pipe()
    began = time.monotonic()
    pid = call(libc.syscall, CLONE, NEW_NAMESPACES | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.close(report)
        sock.close()
        guarded(init, answer, job, fds, answer)
    os.close(answer)
    cause, peak = watch(pid, sock, job, began)
    if cause:
        os.kill(pid, signal.SIGKILL)  # a namespace dies with its first process
    _, _, used = os.wait4(pid, 0)
    with os.fdopen(report, "rb") as pipe:
        words = pipe.read()
    told = json.loads(words) if words else {"status": None, "error": "" if cause else "the box's first process died"}
    return {
        **told,
        "cause": cause,
        "seconds": used.ru_utime + used.ru_stime,
        "wall_seconds": time.monotonic() - began,
        "memory": max(peak, used.ru_maxrss * 1024),
    }


def guarded(function, answer, *args):
    """Run what never returns in a forked process; its failure is reported, not raised into the parent's code."""
    try:
        function(*args)
    except BaseException as error:  # this process ends here, whatever it was
        os.write(answer, json.dumps({"status": None, "error": f"{type(error).__name__}: {error}"}).encode())
    os._exit(1)


def watch(pid, sock, job, began):
    """Wait for a program's end or for the first limit it meets: (which limit, bytes of memory at the peak)."""
    poller = select.poll()
    pidfd = os.pidfd_open(pid)
    poller.register(pidfd, select.POLLIN)
    poller.register(sock, select.POLLHUP | select.POLLERR)
    pause, peak = 4, 0
    try:
        while True:
            for fd, event in poller.poll(pause):
                if fd == pidfd:
                    return "", peak
                if event & (select.POLLHUP | select.POLLERR):
                    os._exit(0)  # nobody waits for us: the namespace and all in it end
            pause = min(pause * 2, job["tick"])
            if time.monotonic() - began > job["wall_seconds"]:
                return "wall", peak
            seconds, processes, memory = usage(job["watch"])
            peak = max(peak, memory)
            if seconds > job["seconds"]:
                return "seconds", peak
            if job["watch"] and processes > job["processes"]:
                return "processes", peak
            if job["watch"] and memory > job["memory"] and usage(True, exact=True)[2] > job["memory"]:
                return "memory", peak
    finally:
        os.close(pidfd)


def usage(everything, exact=False):
    """Of all processes below this one: processor seconds, threads, and bytes of memory (shared pages once, if exact).

    Memory is not looked at unless `everything` is asked for.
    """
    seconds, threads, memory = 0.0, 0, 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or entry == "1":
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            seconds += sum(map(int, fields[11:15])) / TICK
            threads += int(fields[17])
            if everything:
                memory += proportional(entry) if exact else private(entry)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    if everything:
        memory += stored()
    return seconds, threads, memory


def private(pid):
    """Bytes of a process that no file stands behind."""
    with open(f"/proc/{pid}/status", "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith((b"RssAnon", b"RssShmem"))) * 1024


def proportional(pid):
    """Bytes of a process, each shared page divided by those who share it."""
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith((b"Pss_Anon", b"Pss_Shmem"))) * 1024


def stored():
    """Bytes in the files of the box, seen through the root of its first process."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry != "1":
            for folder in ("tmp", "dev/shm"):
                try:
                    room = os.statvfs(f"/proc/{entry}/root/{folder}")
                except OSError:
                    continue
                total += (room.f_blocks - room.f_bfree) * room.f_frsize
            break
    return total


def init(job, fds, answer):
    """The first process of the program's namespace: builds its world, starts it, and clears up behind it."""
    for path, data in (("/proc", None), ("/tmp", "size"), ("/dev/shm", "size")):
        kind = "tmpfs" if data else "proc"
        options = f"size={job['storage']},nr_inodes=65536,mode=1777" if data else ""
        flags = NOSUID_NODEV | (0 if path == "/tmp" else NOEXEC)
        call(libc.mount, b"box", path.encode(), kind.encode(), flags, options.encode())
    os.mkdir(BOX, 0o755)
    os.chown(BOX, job["uid"], job["uid"])
    names, collected = job["files"], job["collect"]
    streams, extra = fds[:3], fds[3 : 3 + job["extra"]]
    sources = fds[3 + job["extra"] :]
    for name, source in zip(names, sources):
        place(name, source, job["uid"])
    pid = os.fork()
    if pid == 0:
        guarded(program, 2, job, streams, extra)
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
    found = [fetch(name, fd) for name, fd in zip(collected, sources[len(names) :])]
    os.write(answer, json.dumps({"status": status, "error": "", "collected": found}).encode())
    os._exit(0)


def place(name, source, uid):
    """Copy an open file into the box."""
    path = os.path.join(BOX, name)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    while folder != BOX:
        os.chown(folder, uid, uid)
        folder = os.path.dirname(folder)
    size = os.fstat(source).st_size
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    offset = 0
    while offset < size:
        offset += os.sendfile(fd, source, offset, size - offset)
    os.close(fd)
    os.chown(path, uid, uid)


def fetch(name, target):
    """Copy a file that the program made out of the box, if it is a plain file there; nobody is left to change it."""
    try:
        fd = os.open(os.path.join(BOX, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    size = os.fstat(fd).st_size if stat.S_ISREG(os.fstat(fd).st_mode) else -1
    offset = 0
    while offset < size:
        offset += os.sendfile(target, fd, offset, size - offset)
    os.close(fd)
    return size >= 0


def program(job, streams, extra):
    """Become the program: its files, its limits, no rights, and then its code."""
    os.setsid()
    wanted = [*streams, *extra]
    high = [os.dup2(fd, 200 + place_, inheritable=False) for place_, fd in enumerate(wanted)]
    for place_, fd in enumerate(high):
        os.dup2(fd, place_)
    os.closerange(len(wanted), 1 << 20)
    call(libc.prctl, DUMPABLE, 1)  # its own /proc/self is its own
    with open("/proc/self/oom_score_adj", "w") as file:  # the first to go where memory runs out
        file.write("1000")
    os.chdir(BOX)
    for limit, value in job["rlimits"].items():
        kind = getattr(resource, limit)
        hard = resource.getrlimit(kind)[1]
        value = resource.RLIM_INFINITY if value < 0 else value
        if hard != resource.RLIM_INFINITY and (value == resource.RLIM_INFINITY or value > hard):
            value = hard
        resource.setrlimit(kind, (value, value))
    drop(job["uid"], bytes.fromhex(job["filter"]))
    if job["argv"]:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, other programs expect not to
            signal.signal(ignored, signal.SIG_DFL)
        try:
            os.execvpe(job["argv"][0], job["argv"], job["env"])
        except OSError as error:
            os.write(2, f"{job['argv'][0]}: {error.strerror}\n".encode())
            os._exit(127)
    python(job["env"], job["args"])


def drop(uid, code):
    """Give up every right, for good."""
    for capability in range(64):
        if libc.prctl(CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if os.getuid() != uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc.prctl(CAP_AMBIENT, 4, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    call(libc.capset, header, (ctypes.c_uint32 * 6)())
    call(libc.prctl, NO_NEW_PRIVS, 1, 0, 0, 0)
    call(libc.prctl, DUMPABLE, 1)  # another user id took that away
    count = len(code) // 8
    block = ctypes.create_string_buffer(code, len(code))

    class Filter(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    call(libc.prctl, SECCOMP, 2, ctypes.byref(Filter(count, ctypes.addressof(block))), 0, 0)


def python(env, args):
    """Run main.py as `python main.py` would, in this forked interpreter."""
    import atexit
    import threading
    import traceback
    import types

    os.environ.clear()
    os.environ.update(env)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        fd = ("stdin", "stdout", "stderr").index(name)
        errors = "backslashreplace" if name == "stderr" else "surrogateescape"
        stream = open(fd, mode, encoding="utf-8", errors=errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    module = types.ModuleType("__main__")
    module.__file__ = "main.py"
    sys.modules["__main__"] = module
    sys.argv = ["main.py", *args]
    sys.path.insert(0, BOX)
    gc.unfreeze()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0
    try:
        with open("main.py", "rb") as file:
            source = file.read()
        exec(compile(source, "main.py", "exec"), module.__dict__)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException as error:  # what the interpreter does with what a program lets through
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, trace)
        code = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # a stream that the program closed or broke
        code = code or 120
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
