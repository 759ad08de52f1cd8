"""The outer wall of a box: bubblewrap's command line, and what to do where bubblewrap is missing or refused.

The container has its own pids, IPC, host name, and a network in which not even the loopback is up; the system's
programs, read-only; no home folders, no terminals, and of /etc and /dev only what is harmless.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from r1lab.errors import SandboxError

PATHS = "/usr/local/bin:/usr/bin:/bin"
TREES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")  # beside /usr; links into it on most systems
SETTINGS = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "fonts")  # of /etc
DEVICES = ("null", "full", "random", "urandom")
OWN = ("/tmp", "/dev", "/proc")
STREAMS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
MODULES = ("spawner.py", "spawner_python.py", "spawner_rights.py", "spawner_usage.py")
SPAWNER = [Path(__file__).with_name(name) for name in MODULES]
USER = 65534  # inside, for a caller who is not root

INSTALL = "apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora, RHEL), or sandbox=piston"
ADVICE = (
    "Programs run only inside bubblewrap, which needs user namespaces (or root). "
    "Try: bwrap --unshare-all --ro-bind / / true\n"
    "On Ubuntu 24.04 and later: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for bwrap; "
    "in Docker: --security-opt seccomp=unconfined --cap-add SYS_ADMIN. Or choose sandbox=piston."
)


def command(root: bool, watched: bool, python: Path, visible: Sequence[Path], account: int, tell: int) -> list[str]:
    """The command line that starts a box's spawner, which takes the number of its socket as one more word.

    Args:
        root: whether the box is made without a user namespace.
        watched: whether a watcher counts memory. Shared memory without a file escapes it, so /dev/zero is not there.
        python: the interpreter.
        visible: further paths to show, read-only.
        account: an open file, what /etc/passwd says.
        tell: an open file for the number of the container's first process.

    Raises:
        SandboxError: bubblewrap is not installed, or a path is shown where the box has something of its own.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxError(f"bubblewrap is not installed: {INSTALL}")
    words = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
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
    for path in dict.fromkeys([*homes(python), *visible]):
        if any(path.is_relative_to(own) for own in OWN):
            raise SandboxError(f"{path} cannot be shown to programs: a box has its own {' '.join(OWN)}")
        for above in [*path.parents][-2::-1]:
            words += ["--perms", "0755", "--dir", str(above)]
        words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0644", "--ro-bind-data", str(account), "/etc/passwd", "--perms", "0755", "--dir", "/spawner"]
    for file in SPAWNER:
        words += ["--ro-bind", str(file), f"/spawner/{file.name}"]
    words += ["--proc", "/proc", "--tmpfs", "/dev", "--dir", "/dev/shm", "--dir", "/tmp"]
    for name in (*DEVICES, *(() if watched else ("zero",))):
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in STREAMS.items():
        words += ["--symlink", target, f"/dev/{name}"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--info-fd", str(tell), "--"]
    return [*words, str(python), "-I", "-B", "/spawner/spawner.py"]


@cache
def homes(python: Path) -> list[Path]:
    """The folders that an interpreter needs, where they are not shown anyway."""
    said = subprocess.run(
        [str(python), "-I", "-c", "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return [Path(home) for home in dict.fromkeys(said) if home and not home.startswith("/usr")]


def interpreter(path: str | None) -> Path:
    """The interpreter for Python programs.

    Raises:
        SandboxError: there is none.
    """
    found = path or shutil.which("python3", path=PATHS)
    if not found or not Path(found).exists():
        raise SandboxError(f"sandbox.python: there is no {path or 'python3 in ' + PATHS}")
    return Path(found)
