"""What the spawner may and what its programs may not: rights, descriptors, network. Runs inside the box; standard
library only.
"""

import ctypes
import fcntl
import os
import socket
import struct
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
DUMPABLE, SECCOMP, CAPBSET_DROP, NO_NEW_PRIVS, CAP_AMBIENT = 4, 22, 24, 38, 47
GET_FLAGS, SET_FLAGS, SET_ADDRESS, UP = 0x8913, 0x8914, 0x8916, 1  # of a network interface
INTERFACE = "16sh22x"  # struct ifreq
VERSION_3, NO_CAPABILITY = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # made once: types are slow
CLOSE_RANGE, LAST = 436, 0x7FFFFFFF


def call(function: Any, *args: Any) -> int:
    """A C function's result; OSError where it is negative."""
    result: int = function(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), function.__name__)
    return result


def walled(outside: dict[str, int]) -> None:
    """Make sure that this process is in no namespace of the machine's own, whatever started it.

    Args:
        outside: name → number of the namespaces of who asked for the box.

    Raises:
        RuntimeError: it shares one.
    """
    shared = [name for name, number in outside.items() if os.stat(f"/proc/self/ns/{name}").st_ino == number]
    if shared or os.getpid() != 1:
        raise RuntimeError(f"the box shares namespaces with the machine: {' '.join(shared)}")


def no_network() -> None:
    """Take the loopback down, and its address: sockets would outlast a program, and hold memory that nobody counts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack(INTERFACE, b"lo", 0)
        flags = struct.unpack(INTERFACE, fcntl.ioctl(any_socket, GET_FLAGS, asked))[1]
        fcntl.ioctl(any_socket, SET_ADDRESS, struct.pack(INTERFACE, b"lo", socket.AF_INET))  # 0.0.0.0: none
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack(INTERFACE, b"lo", flags & ~UP))


def expendable(score: int) -> None:
    """How readily this process is ended where memory runs out, 1000 first; less than before only root may ask."""
    call(libc.prctl, DUMPABLE, 1)  # else the file is not its own
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, str(score).encode())
        os.close(fd)
    except PermissionError:
        return
    finally:
        call(libc.prctl, DUMPABLE, 0)


def close_all_but(few: int, one: int) -> None:
    """Close every descriptor but the first few and one more."""
    for first, last in ((few, one - 1), (one + 1, LAST)):
        if libc.syscall(CLOSE_RANGE, first, last, 0) != 0:
            for fd in map(int, os.listdir("/proc/self/fd")):
                if first <= fd <= last:
                    os.closerange(fd, fd + 1)


def private() -> None:
    """Let nobody look into this process, and give up for its children what no program may ever have."""
    call(libc.prctl, DUMPABLE, 0)
    for capability in range(64):
        if libc.prctl(CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break


class Filter(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    code: Any


def seccomp(code: bytes) -> Filter:
    """A system call filter, as the kernel takes it."""
    block = ctypes.create_string_buffer(code, len(code))
    made = Filter(len(code) // 8, ctypes.addressof(block))
    made.code = block  # which must not be freed before it
    return made


def drop(uid: int, code: Filter) -> None:
    """Give up every right, for good."""
    if os.getuid() != uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc.prctl(CAP_AMBIENT, 4, 0, 0, 0)
    call(libc.capset, VERSION_3, NO_CAPABILITY)
    call(libc.prctl, NO_NEW_PRIVS, 1, 0, 0, 0)
    call(libc.prctl, DUMPABLE, 1)  # its own /proc/self is its own
    if code.len:
        call(libc.prctl, SECCOMP, 2, ctypes.byref(code), 0, 0)
