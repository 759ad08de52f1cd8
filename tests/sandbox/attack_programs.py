"""Programs that attack the sandbox: the tests run each once on every kind of box, the drill in a mix for minutes.

An attack that gets what it wants prints GOT and what it got. Its input is one line of JSON, the targets that the test
set up outside; nothing outside this machine is ever tried. What an attack leaves behind bears the name in `LEFT`.
System calls stand as numbers of x86_64.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1lab.sandbox.base import Limits, Verdict

LIMITS = Limits(
    seconds=0.5,
    wall_seconds=2.0,
    memory=128 << 20,
    processes=32,
    file_size=16 << 20,
    output=1 << 20,
    compile_seconds=1.0,
)
LEFT = "r1lab-attack-left"
P, W, T, M, C, R = (
    Verdict.PASSED,
    Verdict.WRONG,
    Verdict.TIMEOUT,
    Verdict.MEMORY,
    Verdict.CRASHED,
    Verdict.REFUSED,
)


@dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        name: for the test's name.
        source: what it runs.
        ends: the verdicts that are right for it where any output is accepted.
        language: of the source.
        cause: a word that the detail must hold where the verdict is not PASSED.
    """

    name: str
    source: str
    ends: tuple[Verdict, ...] = (P,)
    language: str = "python"
    cause: str = ""


HEAD = """
import ctypes, errno, json, mmap, os, signal, socket, subprocess, sys, threading, time
target = json.loads(input() or "{}")
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def tried(what, function, *args):
    try:
        got = function(*args)
    except (OSError, ValueError, EOFError) as error:
        return None
    print("GOT", what, repr(got)[:200], flush=True)
    return got
def refused(what, number, *args):
    libc.syscall.restype = ctypes.c_long
    if libc.syscall(number, *args) >= 0:
        print("GOT", what, flush=True)
def spin(seconds):
    while time.process_time() < seconds:
        pass
"""


def python(name: str, body: str, *ends: Verdict, cause: str = "") -> Attack:
    """An attack in Python, with what many of them need before it."""
    return Attack(name, HEAD + body, ends or (P,), cause=cause)


HOGS = (
    python("fork-bomb", "while True:\n    try: os.fork()\n    except OSError: pass\n", C, T, M),
    python("thread-bomb", "while True: threading.Thread(target=time.sleep, args=(9,)).start()\n", C, M, T),
    Attack("fork-bomb-shell", "f() { f | f & }; f; f; sleep 9\n", (C, T, M, P), "bash"),
    Attack("fork-bomb-c", "#include <unistd.h>\nint main() { for (;;) fork(); }\n", (C, T, M), "c"),
    python("memory-one", "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))\n", M, cause="memory"),
    python(
        "memory-many",
        """
for _ in range(16):
    if os.fork() == 0:
        hoard = bytearray(os.urandom(4096) * (6 << 8)) * 3
        time.sleep(9)
time.sleep(9)
""",
        M,
        cause="memory",
    ),
    python(
        "memory-files",
        """
for number in range(64):
    for folder in ("/tmp", "/dev/shm"):
        with open(f"{folder}/{number}", "wb") as file:
            for _ in range(8): file.write(bytes(1 << 20))
"""
        + "time.sleep(9)\n",
        M,
        C,
    ),
    python(
        "memory-unlinked",
        """
held = []
for number in range(64):
    file = open(f"/tmp/{number}", "wb", buffering=0)
    os.unlink(f"/tmp/{number}")
    held.append(file)
    for _ in range(8): file.write(bytes(1 << 20))
time.sleep(9)
""",
        M,
        C,
    ),
    python(
        "memory-shared", "held = mmap.mmap(-1, 512 << 20)\nfor at in range(0, 512 << 20, 4096): held[at] = 1\n", M, C
    ),
    python(
        "memory-shared-file",
        """
for number in range(32):
    with open(f"/dev/shm/{number}", "w+b") as file:
        file.truncate(16 << 20)
        mapped = mmap.mmap(file.fileno(), 16 << 20)
    for at in range(0, 16 << 20, 4096): mapped[at] = 1
    mapped.close()
time.sleep(9)
""",
        M,
        C,
    ),
    python(
        "memory-one-page-kept",
        """
for _ in range(32):
    at = libc.mmap(None, 32 << 20, 3, 0x21, -1, 0)
    if at is None or at == 2**64 - 1:
        sys.exit("refused")
    ctypes.memset(at, 1, 32 << 20)
    libc.munmap(ctypes.c_void_p(at + 4096), (32 << 20) - 4096)
print("GOT memory")
""",
        M,
        C,
    ),
    python(
        "memory-zero-device",
        """
try:
    zero = os.open("/dev/zero", os.O_RDWR)
except FileNotFoundError:
    sys.exit("refused")
for _ in range(32):
    at = libc.mmap(None, 32 << 20, 3, 1, zero, 0)
    ctypes.memset(at, 1, 32 << 20)
    libc.munmap(ctypes.c_void_p(at + 4096), (32 << 20) - 4096)
print("GOT memory")
""",
        M,
        C,
    ),
    python(
        "memory-page-tables",
        """
size = 64 << 30
for _ in range(2):
    at = libc.mmap(None, size, 3, 0x4022, -1, 0)
    for page in range(at, at + size, 2 << 20):
        ctypes.c_char.from_address(page).value = b"1"
        libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(4096), 4)
print("GOT page tables")
""",
        M,
        C,
    ),
    python(
        "memory-sockets",
        """
held, sent = [], 0
for _ in range(4):
    os.fork()
for _ in range(120):
    one, other = socket.socketpair()
    held += [one, other]
    for end in (one, other):
        end.setblocking(False)
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
        except PermissionError:
            pass
        try:
            while True: sent += end.send(bytes(1 << 16))
        except BlockingIOError:
            pass
time.sleep(1)
if sent > 12 << 20:
    print("GOT", sent >> 20, "MB in one of 16")
""",
        M,
        C,
        T,
        P,
    ),
    python(
        "memory-pipes",
        """
import fcntl
held, written = [], 0
for _ in range(120):
    pipe = os.pipe2(os.O_NONBLOCK)
    held.append(pipe)
    try:
        fcntl.fcntl(pipe[1], 1031, 1 << 20)
    except OSError:
        pass
    try:
        while True: written += os.write(pipe[1], bytes(1 << 16))
    except BlockingIOError:
        pass
if written > 128 << 20:
    print("GOT", written >> 20, "MB")
""",
        M,
        C,
        P,
    ),
    python(
        "memory-file-by-splice",
        """
refused("vmsplice", 278, 1, 0, 0, 0)
refused("memfd_create", 319, b"x", 0)
refused("shmget", 29, 0, 1 << 30, 0o1666)
refused("semget", 64, 0, 32000, 0o1666)
refused("io_setup", 206, 64, ctypes.byref(ctypes.c_ulong(0)))
""",
    ),
    python(
        "disk",
        """
for place in ("/", "/usr", "/etc", "/var", "/var/tmp", "/dev", "/proc", "/spawner", "/opt", "/run"):
    tried("a file in " + place, open, place + "/r1lab-attack-left", "w")
with open("/tmp/x", "wb") as file:
    while True: file.write(bytes(1 << 20))
""",
        C,
        M,
    ),
    python("inodes", "for number in range(1 << 20): open(f'/tmp/{number}', 'w').close()\n", C, M, T),
    python(
        "deep-folders",
        """
try:
    while True:
        os.mkdir("d")
        os.chdir("d")
except OSError:
    pass
""",
        P,
        T,
        M,
    ),
    Attack(
        "vfork-bomb",
        "#include <unistd.h>\nint main() { for (;;) if (vfork() == 0) for (;;) if (vfork() != 0) pause(); }\n",
        (C, T),
        "c",
    ),
    python("flood-stdout", "while True: os.write(1, bytes(1 << 16))\n", C, M, cause="output"),
    python("flood-stderr", "while True: os.write(2, bytes(1 << 16))\n", C, M, cause="output"),
    Attack("flood-c", '#include <stdio.h>\nint main() { for (;;) puts("flood"); }\n', (C,), "c", "output"),
    python("sparse-stdout", "os.ftruncate(1, 15 << 20)\n", C, P),
    python("loop", "while True: pass\n", T),
    python(
        "loop-without-signals",
        """
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
""",
        T,
    ),
    python("sleep", "time.sleep(60)\n", T),
    python("loop-in-many", "for _ in range(3): os.fork()\nwhile True: pass\n", T),
    python(
        "loop-in-children-nobody-waits-for",
        """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(8):
    if os.fork() == 0:
        spin(0.1)
        os._exit(0)
    try: os.wait()
    except ChildProcessError: pass
print("GOT", "time")
""",
        T,
    ),
    python("stop-itself", "os.kill(0, signal.SIGSTOP)\n", T),
)

STAYERS = (
    python(
        "daemon",
        """
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            for fd in range(3): os.close(fd)
            time.sleep(60)
        os._exit(0)
""",
    ),
    python("background", "subprocess.Popen(['setsid', 'nohup', 'sleep', '60'])\n"),
    Attack("background-shell", "(trap '' HUP TERM INT; sleep 60) & disown\n", (P,), "bash"),
    python(
        "write-everywhere",
        """
for folder, _, _ in os.walk("/", followlinks=False):
    if folder.startswith(("/proc", "/sys")):
        continue
    try:
        with open(os.path.join(folder, "r1lab-attack-left"), "w") as file: file.write("x")
    except OSError:
        continue
    if not folder.startswith(("/tmp", "/dev/shm")):
        print("GOT a file in", folder)
""",
        P,
        T,
    ),
    python(
        "cling-to-the-network",
        """
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\\0r1lab-attack-left")
abstract.listen()
other = socket.socket()
try:
    other.bind(("0.0.0.0", 5077))
    other.listen()
    one = socket.socket()
    one.settimeout(0.1)
    one.connect(("127.0.0.1", 5077))
    taken, _ = other.accept()
    taken.close()  # who closes first leaves the port taken for a minute
    one.recv(1)
    one.close()
except OSError:
    pass
if os.fork():
    os._exit(0)
time.sleep(60)
""",
    ),
)

FINDERS = (
    python(
        "what-the-last-one-left",
        """
for folder, folders, names in os.walk("/"):
    if folder == "/": folders[:] = set(folders) - {"proc", "usr"}
    if "r1lab-attack-left" in names: print("GOT", folder)
unix = socket.socket(socket.AF_UNIX)
tried("abstract socket", unix.connect, "\\0r1lab-attack-left")
port = socket.socket()
try:
    port.bind(("0.0.0.0", 5077))
except OSError as error:
    print("GOT", error)
numbers = [name for name in os.listdir("/proc") if name.isdigit()]
if len(numbers) > 2: print("GOT", numbers)
if sorted(os.listdir("/tmp")) != ["box"] or os.listdir("/dev/shm") or os.listdir(".") != ["main.py"]:
    print("GOT", os.listdir("/tmp"), os.listdir("/dev/shm"), os.listdir("."))
""",
    ),
    python(
        "files",
        """
for path in ("/etc/shadow", "/etc/hosts", "/root", "/home", "/var/log", "/sys/kernel", "/proc/kcore", "/run",
             "/proc/1/mem", "/proc/1/environ", "/proc/1/maps", "/proc/1/auxv", "/proc/kmsg", "/dev/mem", "/dev/vda",
             target["home"], target["canary"], os.path.expanduser("~root/.bashrc")):
    if os.path.isdir(path): tried(path, os.listdir, path)
    else: tried(path, lambda: open(path, "rb").read(64))
for name in ("fd", "ns/pid", "root", "cwd", "exe", "map_files"):
    tried("/proc/1/" + name, os.listdir if name in ("fd", "map_files") else os.readlink, "/proc/1/" + name)
tried("/proc/1/root", os.listdir, "/proc/1/root")
tried("/proc/1/cwd", os.listdir, "/proc/1/cwd")
for pid in range(1, 400):
    if pid not in (1, os.getpid()) and os.path.exists(f"/proc/{pid}"): print("GOT", pid)
for root in ("/proc/self/root", "/proc/thread-self/root", "/proc/self/cwd/../../.."):
    tried("above the root", open, root + target["canary"])
os.chdir("/")
for _ in range(9): os.chdir("..")
tried("above the root", open, "." + target["canary"])
refused("chroot", 161, b"/tmp")
refused("open_by_handle_at", 304, 3, ctypes.create_string_buffer(64), 0)
""",
    ),
    python(
        "network",
        """
def reach(family, address):
    with socket.socket(family) as one:
        one.settimeout(0.2)
        one.connect(address)
        return one.recv(20)
tried("IPv4", reach, socket.AF_INET, ("127.0.0.1", target["port"]))
tried("IPv6", reach, socket.AF_INET6, ("::1", target["port"]))
tried("IPv4 in IPv6", reach, socket.AF_INET6, ("::ffff:127.0.0.1", target["port"]))
tried("any", reach, socket.AF_INET, ("0.0.0.0", target["port"]))
tried("abstract", reach, socket.AF_UNIX, "\\0" + target["abstract"])
tried("path", reach, socket.AF_UNIX, target["socket"])
for family in (16, 17, 38, 40):  # netlink, packet, crypto, the virtual machine's host
    tried(f"family {family}", socket.socket, family, socket.SOCK_DGRAM if family != 38 else 5)
tried("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
""",
    ),
    python(
        "terminals",
        """
import fcntl
for fd in range(3):
    for request in (0x5401, 0x540E, 0x5412):  # TCGETS, TIOCSCTTY, TIOCSTI
        tried(f"request {request:x}", fcntl.ioctl, fd, request, b"x" * 64)
for path in ("/dev/tty", "/dev/ptmx", "/dev/pts/0", "/dev/console", "/dev/tty1", "/dev/vcs"):
    tried(path, open, path, "r+")
""",
    ),
    python(
        "other-processes",
        """
refused("ptrace", 101, 16, 1, 0, 0)
refused("ptrace", 101, 0x4206, 1, 0, 0)
refused("process_vm_readv", 310, 1, 0, 0, 0, 0, 0)
refused("process_vm_writev", 311, 1, 0, 0, 0, 0, 0)
for pid in (1, os.getppid()):
    fd = libc.syscall(434, pid, 0)
    for number in range(9):
        refused("pidfd_getfd", 438, fd, number, 0)
refused("kcmp", 312, 1, os.getpid(), 0, 0, 0)
refused("perf_event_open", 298, 0, 1, -1, -1, 0)
for limit in range(16):
    refused("prlimit", 302, 1, limit, ctypes.create_string_buffer(16), 0)
""",
    ),
    python(
        "kill-the-parent",
        """
for number in (*range(1, 32), 34, 63, 64):
    for victim in (1, os.getppid()):
        try: os.kill(victim, number)
        except PermissionError: pass
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
    if os.fork() == 0:
        os.kill(-1, signal.SIGCONT)
        os._exit(0)
os.setpgid(0, 0) if os.getpgrp() != os.getpid() else None
if os.fork() == 0:
    os.killpg(os.getpgrp(), signal.SIGKILL)
os.waitpid(-1, 0)
""",
        P,
        C,
    ),
    python("kill-all", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.kill(-1, 15)\nos.kill(-1, 9)\n", P, C),
    python(
        "worlds",
        """
for flags in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x80, 0x10020000):
    refused("unshare %x" % flags, 272, flags)
    if flags > 0x80:
        got = libc.syscall(56, flags | 17, 0, 0, 0, 0)
        if got == 0: os._exit(0)
        if got > 0: print("GOT clone %x" % flags)
refused("clone3", 435, (ctypes.c_uint64 * 11)(0x10000000, *[0] * 3, 17), 88)
refused("setns", 308, os.open("/proc/self/ns/net", os.O_RDONLY), 0)
refused("mount", 165, b"x", b"/tmp", b"tmpfs", 0, b"")
refused("bind", 165, b"/", b"/tmp", b"", 4096, b"")
refused("remount", 165, b"", b"/", b"", 32 | 4096, b"")
refused("umount", 166, b"/tmp", 2)
refused("pivot_root", 155, b"/tmp", b"/tmp")
refused("open_tree", 428, -100, b"/", 1)
refused("fsopen", 430, b"tmpfs", 0)
refused("bpf", 321, 0, 0, 0)
refused("io_uring", 425, 8, ctypes.create_string_buffer(120))
refused("userfaultfd", 323, 1)
refused("keyctl", 250, 0, -3, 1)
refused("add_key", 248, b"user", b"x", b"y", 1, -2)
refused("init_module", 175, b"", 0, b"")
refused("kexec", 246, 0, 0, 0, 0)
refused("reboot", 169, 0xFEE1DEAD, 672274793, 0, 0)
refused("syslog", 103, 3, ctypes.create_string_buffer(64), 64)
refused("mknod", 133, b"/tmp/disk", 0o60666, 0xFE00)
refused("sethostname", 170, b"x", 1)
refused("settimeofday", 164, (ctypes.c_long * 2)(0, 0), 0)
refused("swapon", 167, b"/tmp/x", 0)
refused("x32 ptrace", 0x40000000 + 521, 0, 0, 0, 0)
refused("nice", 141, 0, 0, -5)
""",
    ),
    Attack(
        "i386-calls",
        'int main() { int got; asm volatile("int $0x80" : "=a"(got) : "a"(20)); __builtin_printf("GOT %d", got); }\n',
        (C,),
        "c",
    ),
    python(
        "become-root",
        """
for call in (os.setuid, os.setgid, os.seteuid, os.setegid):
    tried(call.__name__, call, 0)
tried("groups", os.setgroups, [0])
tried("resuid", os.setresuid, 0, 0, 0)
for command in (["su", "-c", "id"], ["mount", "-t", "tmpfs", "x", "/tmp"], ["passwd", "-d", "root"],
                ["newgrp", "root"], ["chsh", "-s", "/bin/sh", "root"]):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=1)
    if done.returncode == 0 and b"uid=0" in done.stdout or command[0] == "mount" and done.returncode == 0:
        print("GOT", command, done)
status = open("/proc/self/status").read()
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    if int(status.split(name + ":")[1].split()[0], 16): print("GOT", name)
if "NoNewPrivs:\\t1" not in status or "Seccomp:\\t2" not in status: print("GOT", status)
if os.getuid() == 0 or os.getgid() == 0 or 0 in os.getgroups(): print("GOT", os.getresuid(), os.getgroups())
with open("/tmp/own", "wb") as file: file.write(open("/usr/bin/id", "rb").read())
os.chmod("/tmp/own", 0o6755)
""",
    ),
    python(
        "raise-limits",
        """
import resource
for name in ("CPU", "FSIZE", "NOFILE", "NPROC", "CORE"):
    kind = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY: print("GOT", name, "without end")
    tried(name, resource.setrlimit, kind, (hard + 1, hard + 1))
tried("oom", lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-1000"))
tried("cgroup", os.listdir, "/sys/fs/cgroup")
tried("sysctl", open, "/proc/sys/kernel/core_pattern", "w")
tried("sysrq", open, "/proc/sysrq-trigger", "w")
""",
    ),
)

TAMPERERS = (
    python(
        "the-interpreter",
        """
import atexit, builtins, gc, json as j, random, threading
builtins.print = lambda *a, **k: os.write(1, b"GOT you")
builtins.input = lambda *a: "0"
builtins.sum = builtins.int = builtins.range = None
sys.modules["collections"] = sys.modules["math"] = sys
sys.meta_path.insert(0, object())
sys.path[:] = ["/tmp"]
sys.stdout = sys.stdin = None
os._exit_ = os._exit
os.environ.clear()
os.putenv("PYTHONSTARTUP", "/tmp/x")
j.loads = j.dumps = lambda *a, **k: {"status": 0, "error": "", "cause": ""}
for fd in range(3, 2000):
    try: os.close(fd)
    except OSError: pass
atexit.register(os.kill, 1, 9)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
for thing in gc.get_objects():
    if isinstance(thing, socket.socket) and thing.fileno() >= 0:
        os.write(1, b"GOT a socket")
    if isinstance(thing, dict) and "wall_seconds" in thing and thing.get("argv", 1) is not None:
        thing["wall_seconds"] = 1e9
signal.setitimer = None
sys.setrecursionlimit(50)
sys.settrace(lambda *a: None)
""",
        P,
        C,
    ),
    python(
        "machine-code",
        """
address = ctypes.cast(libc.write, ctypes.c_void_p).value
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mprotect(address & ~4095, 8192, 7)
ctypes.memset(address, 0xC3, 1)
for name in ("fork", "waitpid", "sendfile"):
    at = ctypes.cast(getattr(libc, name), ctypes.c_void_p).value
    libc.mprotect(at & ~4095, 8192, 7)
    ctypes.memset(at, 0xC3, 1)
""",
        P,
        C,
    ),
    python(
        "descriptors",
        """
for fd in range(3, 4096):
    try:
        what = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        continue
    try:
        os.fstat(fd)
    except OSError:
        continue  # the one that lists them
    print("GOT", fd, what)
for fd in range(3):
    if "memfd" not in os.readlink(f"/proc/self/fd/{fd}"): print("GOT", os.readlink(f"/proc/self/fd/{fd}"))
""",
    ),
    python(
        "forged-reply",
        """
word = json.dumps({"status": 0, "error": "", "collected": [], "cause": "", "seconds": 0, "wall_seconds": 0})
for fd in range(3, 1024):
    try: os.write(fd, word.encode() + b"\\n")
    except OSError: pass
print(word, "passed", "Outcome(verdict=PASSED, score=1.0)", flush=True)
os.kill(os.getpid(), 9)
""",
        C,
    ),
    Attack(
        "the-spawner's-own-code",
        "import os, sys\nsys.path.insert(0, '/spawner')\nimport spawner_rights\nspawner_rights.no_network()\n",
        (C,),
    ),
)

COMPILED = (
    Attack("include-shadow", '#include "/etc/shadow"\nint main() { return 0; }\n', (R,), "c++"),
    Attack("include-zero", '#include "/dev/zero"\nint main() { return 0; }\n', (R,), "c++"),
    Attack("include-random", '#include "/dev/urandom"\nint main() { return 0; }\n', (R,), "c++"),
    Attack("include-itself", '#include "main.cpp"\nint main() { return 0; }\n', (R,), "c++"),
    Attack(
        "endless-templates",
        "template <int N> struct A : A<N + 1>, A<N + 2> {};\nint main() { return sizeof(A<0>); }\n",
        (R,),
        "c++",
    ),
    Attack(
        "endless-constexpr",
        "constexpr long f() { long s = 0; for (long i = 0; i < (1L << 60); ++i) s += i; return s; }\n"
        "constexpr long x = f();\nint main() { return x; }\n",
        (R,),
        "c++",
    ),
    Attack("huge-program", "int a[1 << 28] = {1};\nint main() { return 0; }\n", (R,), "c++"),
    Attack("large-program", "int a[45 << 20] = {1};\nint main() { return a[1]; }\n", (M, P, R), "c++"),
    Attack("assembler-file", 'asm(".incbin \\"/etc/shadow\\"");\nint main() { return 0; }\n', (R,), "c++"),
    Attack(
        "assembler-secrets",
        'asm(".incbin \\"/proc/1/environ\\"");\nint main() { return 0; }\n',
        (R,),
        "c++",
    ),
    Attack(
        "pragma",
        '#pragma GCC optimize("wrapper=sh")\n#pragma comment(linker, "/x")\n__attribute__((constructor)) void f() {}\n'
        "int main() { return 0; }\n",
        (R, P),
        "c++",
    ),
    Attack(
        "stack-without-end",
        "int f(int n) { volatile char a[4096]; a[n % 4096] = 1; return f(n + 1) + a[0]; }\n"
        "int main() { return f(0); }\n",
        (M, C, T),
        "c++",
    ),
    Attack(
        "allocate",
        "#include <stdlib.h>\n#include <string.h>\nint main() { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }\n",
        (M,),
        "c",
    ),
)
PLAIN_TEXT = (
    Attack("null-bytes", "print(1)\0\nimport os", (C,)),
    Attack("nothing", "", (P,)),
    Attack("half-a-pair", "print('\ud800')", (P, C)),
    Attack("deep-source", "(" * 100_000 + ")" * 100_000, (C, M)),
    Attack("long-line", "x = " + "1+" * 200_000 + "1", (C, M, P, T)),
)
ALL = (*HOGS, *STAYERS, *FINDERS, *TAMPERERS, *COMPILED, *PLAIN_TEXT)
